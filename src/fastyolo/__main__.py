"""``python -m fastyolo``."""

from fastyolo.cli import main

if __name__ == "__main__":
    main()
