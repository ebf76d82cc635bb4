"""Files of phone lattices: what is written is read, and what is damaged is named."""

from __future__ import annotations

import gzip

import pytest

from chainstitch.utils.data.lattice_file import LatticeFile, each_lattice, lattice_writer
from chainstitch.utils.data.phone_lattice import PhoneLattice, from_alignment, minimised
from chainstitch.utils.errors import UserError

PHONES = {"SIL": 1, "HH": 2, "AY": 3, "AH": 4}
TWO = PhoneLattice([(0, 1, 1, 12), (1, 2, 2, 6), (1, 3, 4, 27), (2, 3, 3, 21)])
LINE = "utt-1 0 1 SIL 12 ; 1 2 HH 6 ; 1 3 AH 27 ; 2 3 AY 21\n"


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "lattices.gz"
    one = from_alignment([(1, 5), (3, 2)])
    with lattice_writer(path, {number: name for name, number in PHONES.items()}) as add:
        add("utt-1", TWO)
        add("a", one)
    text = gzip.decompress(path.read_bytes()).decode()
    assert text == LINE + "a 0 1 SIL 5 ; 1 2 AY 2\n"
    assert dict(each_lattice(path, PHONES)) == {"utt-1": TWO, "a": one}
    file = LatticeFile(path, PHONES)
    assert file.key and "_read" not in vars(file)
    assert list(file) == ["utt-1", "a"] and dict(file) == {"utt-1": TWO, "a": one}
    assert (TWO.frames, TWO.times, TWO.following(1)) == (39, [0, 12, 18, 39], (2, 4))
    with pytest.raises(FileExistsError), lattice_writer(path, {}):
        pass


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (LINE + LINE, r"line 2: utt-1 comes a second time"),
        (LINE.replace("AY", "OY"), r"line 1: utt-1 has the phone 'OY', which the lang directory"),
        (LINE.replace(" 21", ""), r"damaged \(line 1: not enough values"),
        (LINE.replace("AY 21", "AY 22"), r"damaged \(line 1: state 3 is 39 and 40 frames away"),
        (LINE.replace("1 3 AH", "1 99999999999 AH"), "line 1: the highest state is 99999999999"),
        (LINE.replace(" 12", " 3000000000"), "line 1: an arc 0 1 of phone 1, 3000000000 frames"),
        (LINE.replace(" 12", " -1"), "line 1: an arc"),
        ("utt-1\n", "line 1: not enough"),
        ("\n", "line 1: not enough"),
        ("", "line 0: it is empty"),
    ],
)
def test_what_is_damaged_is_named_with_its_line(tmp_path, text, wanted):
    path = tmp_path / "lattices.gz"
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(UserError, match=wanted):
        list(LatticeFile(path, PHONES))


def test_a_file_that_was_cut_short_or_is_not_there(tmp_path):
    path = tmp_path / "lattices.gz"
    with pytest.raises(UserError, match="make it with `chainstitch align --lattices`"):
        LatticeFile(path, PHONES)
    whole = gzip.compress(LINE.encode())
    path.write_bytes(whole[:-9])
    with pytest.raises(UserError, match="damaged near line"):
        list(LatticeFile(path, PHONES))


def test_states_that_go_on_alike_become_one():
    # 0 -a-> 1 -c-> 3 -e-> 5, 0 -b-> 2 -c-> 4 -e-> 5, and one that differs at the end
    arcs = [(0, 1, 7), (0, 2, 8), (1, 3, 9), (2, 4, 9), (3, 5, 6), (4, 5, 6), (0, 4, 7)]
    times = [0, 2, 2, 5, 5, 9]
    assert minimised(arcs, times) == [
        (0, 1, 7, 2), (0, 1, 8, 2), (0, 2, 7, 5), (1, 2, 9, 3), (2, 3, 6, 4),
    ]  # fmt: skip
    arcs[-2] = (4, 5, 5)
    assert len(minimised(arcs, times)) == len(arcs)
