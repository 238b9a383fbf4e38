"""The script alone: NNStreamer puts its folder on ``sys.path``, where nothing else of ours may be found by accident."""
