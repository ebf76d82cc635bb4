"""RESULTS.md: sections that keep out of each other's way, and receipts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.score.compare import compare
from chainstitch.utils.score.experiment import read_experiment
from chainstitch.utils.score.results import replaced, table, write_section

Make = Callable[..., Path]


def replace_section(path: Path, name: str, text: str) -> None:
    path.write_bytes(replaced(path, name, text))


def written(tmp_path: Path, *args: Any) -> tuple[str, dict[str, Any]]:
    """The page and the .json of a section "T"."""
    page = tmp_path / "page" / "RESULTS.md"
    page.parent.mkdir(exist_ok=True)
    write_section(page, "T", *args)
    return page.read_text(), json.loads((page.parent / "results" / "t.json").read_text())


def test_a_section_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    replace_section(path, "Official split", "## Official split\n\nold\n")
    replace_section(path, "Held-out speakers", "## Held-out speakers\n\nfolds\n")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Results\n\n<!-- chainstitch compare: Official split -->\n")
    path.write_text(
        text.replace("# Results\n", "# Results\n\nWhat we tried: März.\r\n") + "\nAn end.  \n",
        encoding="utf-8",
        newline="",
    )
    before = path.read_bytes().decode("utf-8")
    replace_section(path, "Official split", "## Official split\n\nnew \\1 \\g<0>\n")
    after = path.read_bytes().decode("utf-8")
    assert after == before.replace("\nold\n", "\nnew \\1 \\g<0>\n")
    replace_section(path, "Official split", "## Official split\n\nnew \\1 \\g<0>\n")
    assert path.read_bytes().decode("utf-8") == after


def test_text_without_markers_is_kept_above_a_new_section(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("My notes\n")
    replace_section(path, "A", "table")
    assert path.read_text() == (
        "My notes\n\n<!-- chainstitch compare: A -->\ntable\n<!-- /chainstitch compare: A -->\n"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"<!-- chainstitch compare: A -->\nno end\n",
        b"<!-- /chainstitch compare: A -->\n<!-- chainstitch compare: A -->\n",
        b"<!-- chainstitch compare: A --><!-- /chainstitch compare: A -->" * 2,
        b"not \xff UTF-8",
    ],
)
def test_a_file_with_broken_markers_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        replace_section(path, "A", "table")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["RESULTS.md"]


@pytest.mark.parametrize("name", ["", " ", "a --> b", "two\nlines"])
def test_names_that_would_break_a_marker_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="--section"):
        replace_section(tmp_path / "RESULTS.md", name, "table")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--markdown"):
        replace_section(tmp_path / "nowhere" / "RESULTS.md", "A", "table")


def test_every_row_has_an_n_and_empty_columns_are_left_out(make_experiment: Make) -> None:
    runs = [read_experiment(make_experiment(f"a_s{s}", {"dev": s, "test": 1})) for s in range(3)]
    heading, *lines = table(compare(runs))
    assert heading == [
        *("set", "experiment", "WER %", "sd", "n", "95 % CI", "ins / del / sub", "words")
    ]
    assert [line[heading.index("n")] for line in lines] == ["3", "3"]
    assert lines[0][heading.index("WER %")] == "10.00"
    assert lines[0][heading.index("sd")] == "10.00"
    assert lines[0][heading.index("ins / del / sub")] == "0 / 0 / 1"


def test_a_section_carries_the_receipt_of_every_run(make_experiment: Make, tmp_path: Path) -> None:
    shared = {
        "commit": "abc123",
        "dirty": True,
        "versions": {"torch": "2.13.0", "python": "3.11.9"},
        "hardware": "2 x CPU",
        "seconds": 61.7,
    }
    commands = ["chainstitch train a.toml --set 'x=\"|\"'", ["chainstitch", "train", "b c.toml"]]
    paths = [
        make_experiment(
            f"a_s{seed}", {"dev": seed}, receipt={**shared, "seed": seed, "command": command}
        )
        for seed, command in enumerate(commands)
    ]
    paths.append(make_experiment("b|c_s0", {"dev": 0}))
    runs = [read_experiment(path) for path in paths]
    page, found = written(tmp_path, compare(runs, baseline="a"), "chainstitch compare x", "a")
    assert "| dev | a | 5.00 | 7.07 | 2 |" in page
    assert "| dev | b\\|c | 0.00 | - | 1 |" in page
    assert "P(better than a)" in page
    assert "[results/t.json](results/t.json)" in page
    where = "commit abc123 with uncommitted changes; python 3.11.9, torch 2.13.0; 2 x CPU"
    assert f"- 2 runs: {where}\n- 1 run: no receipt of commit, versions and hardware\n" in page
    assert found["command"] == "chainstitch compare x" and found["baseline"] == "a"
    assert [len(row) for row in found["rows"]] == [len(found["columns"])] * 2
    first, second, third = found["runs"]
    assert first == shared | {
        "experiment": "a_s0", "seed": 0, "command": commands[0], "decoding": ["lmwt 10, wip 0: dev"]
    }  # fmt: skip
    assert second["command"] == "chainstitch train 'b c.toml'"
    assert third["experiment"] == "b|c_s0" and third["command"] is None


def test_what_compare_did_not_write_is_not_replaced(make_experiment: Make, tmp_path: Path) -> None:
    rows = compare([read_experiment(make_experiment("a_s0", {"dev": 1}))])
    page, other = written(tmp_path, rows, "x"), tmp_path / "page" / "results" / "t.json"
    written(tmp_path, rows, "x")  # again
    for theirs, said in (("{}", "no file that compare wrote"), ('{"section": "t!"}', "'t!'")):
        other.write_text(theirs)
        with pytest.raises(UsageError, match=said):
            written(tmp_path, rows, "x")
        assert other.read_text() == theirs
    assert (tmp_path / "page" / "RESULTS.md").read_text() == page[0]


def test_a_page_with_broken_markers_leaves_the_receipts_alone(
    make_experiment: Make, tmp_path: Path
) -> None:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "RESULTS.md").write_text("<!-- chainstitch compare: T -->\n")
    with pytest.raises(UserError, match="mend them by hand"):
        written(tmp_path, compare([read_experiment(make_experiment("a_s0", {"dev": 1}))]), "x")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["RESULTS.md"]


def test_a_broken_receipt_is_named(make_experiment: Make, tmp_path: Path) -> None:
    path = make_experiment("a_s0", {"dev": 1})
    (path / "receipt.json").write_text("{")
    with pytest.raises(UserError, match="receipt.json is not valid JSON"):
        written(tmp_path, compare([read_experiment(path)]), "chainstitch compare x")


def test_command_txt_stands_in_for_a_receipt(make_experiment: Make, tmp_path: Path) -> None:
    path = make_experiment("a_s0", {"dev": 1})
    (path / "command.txt").write_text("chainstitch train '`odd`'\n")
    _, found = written(tmp_path, compare([read_experiment(path)]), "chainstitch compare x")
    assert found["runs"][0]["command"] == "chainstitch train '`odd`'"


def test_paths_into_the_checkout_are_shown_as_seen_from_here(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    here = tmp_path / "egs" / "digits"
    here.mkdir(parents=True)
    command = f"chainstitch train conf.toml --data {tmp_path}/runs/data --out {tmp_path.parent}/exp"
    rows = compare(
        [read_experiment(make_experiment("a_s0", {"dev": 0}, receipt={"command": command}))]
    )
    found = written(tmp_path, rows, "chainstitch compare")[1]
    assert f"--data {tmp_path}/runs/data" in found["runs"][0]["command"]  # in another checkout
    monkeypatch.chdir(here)
    found = written(tmp_path, rows, "chainstitch compare")[1]
    assert f"--data ../../runs/data --out {tmp_path.parent}/exp" in found["runs"][0]["command"]
