"""Wrong command lines: one line, in our words, with the option that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

import fastyolo as package
from command import fastyolo, one_line
from fastyolo.cli.app import make_app
from fastyolo.cli.usage import option_message
from places import REPOSITORY

WRONG = {
    "--conf 2": "--conf must be at most 1, got '2'",
    "--conf -1": "--conf must be at least 0, got '-1'",
    "--conf high": "--conf must be a number, got 'high'",
    "--max-det 1.5": "--max-det must be a whole number, got '1.5'",
    "--threads 0": "--threads must be at least 1, got '0'",
    "--threads 1000": "--threads must be between 1 and 256, got 1000",
    "--nms soft": "--nms must be one of iou, diou, got 'soft'",
    "-f xml": "--format must be one of table, json",
    "--foramt csv": "there is no option --foramt; did you mean --format?",
    "--device npu9": "--device must be cpu, npu, auto",
    "--runtime onnx": "--runtime must be auto",
    "--classes unicorn": "--classes must be names or ids of the model, got 'unicorn'",
    "--input-range 5": "--input-range must be LOW,HIGH, such as 0,255 or -1,1, got '5'",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_a_wrong_option_gets_one_line_in_our_words(arguments: str) -> None:
    done = fastyolo("detect", "missing.jpg", *arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    line = one_line(done.stderr)
    assert WRONG[arguments] in line
    assert not re.search("Input should|Value error|Invalid value", line)


def test_only_what_begins_a_message_becomes_an_option() -> None:
    assert option_message("threads must be 1") == "--threads must be 1"
    assert option_message("format int8 needs calibration pictures, got none").startswith("--format int8 needs")
    assert option_message("names='coco' is for COCO").startswith("--names='coco' is")
    assert option_message("the threads must be 1") == "the threads must be 1"
    assert option_message("resized pictures must fit") == "resized pictures must fit"


OTHER_PROGRAMS = {"--force-reinstall", "--no-cache-dir"}


def test_messages_name_only_options_that_exist() -> None:
    commands = typer.main.get_command(make_app())
    known = {*OTHER_PROGRAMS, "--help", "--version"}
    for command in getattr(commands, "commands", {}).values():
        known.update(option for parameter in command.params for option in parameter.opts)
    named: dict[str, str] = {}
    for path in (REPOSITORY / "src" / "fastyolo").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                # A word alone is an argument for another program.
                words = re.findall(r"(?<![\w-])--[a-z][a-z-]+", node.value) if " " in node.value else []
                named.update(dict.fromkeys(words, path.name))
    assert len(named) > 10
    assert {option: where for option, where in named.items() if option not in known} == {}


def test_nobody_is_sent_to_another_projects_package() -> None:
    folder = Path(package.__file__).parent
    pages = [*folder.rglob("*.py"), REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    for page in pages:
        assert not re.search(r"fastyolo\[|pip install '?\"?fastyolo(?![-\w])", page.read_text()), page
