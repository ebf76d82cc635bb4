"""Context trees: splits, questions and merges are a brute-force search's; leaves are counted."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm import clustering, tree_statistics
from chainstitch.utils.hmm.tree import CLASS, LEAF, Tree
from chainstitch.utils.hmm.tree_growing import build_tree
from tests.reference import tree as twin

FLOOR = 0.05
NAMES = ["SIL", "A", "B", "C", "D"]


def frames(seed, phones, dim=2, most=6, missing=0.3, rights=(0,)):
    """(left, phone, right, class) -> frames, some contexts without any."""
    rng = np.random.default_rng(seed)
    data = {}
    everything = itertools.product(range(phones + 1), range(1, phones + 1), rights, range(2))
    for context in everything:
        n = int(rng.integers(0, most)) * (rng.random() > missing)
        centre = rng.normal(size=dim) * 2 + np.arange(dim) * context[1]
        if n:
            data[context] = centre + rng.normal(size=(n, dim)) * rng.choice([0.0, 0.5, 2.0])
    return data


def triphone_frames(seed, phones, missing=0.6):
    """What stands behind a phone matters as well."""
    return frames(seed, phones, most=4, missing=missing, rights=range(phones + 1))


def statistics(data):
    return {context: clustering.statistics(x) for context, x in data.items()}


def partition(tree):
    """The contexts of each pdf, all of them."""
    leaves, found = tree.leaves(), {}
    phones = range(leaves.num_phones + 1)
    for left, p, right in itertools.product(phones, phones[1:], phones):
        for c, pdf in enumerate(leaves.pdfs(left, p, right)):
            found.setdefault(pdf, set()).add((left, p, right, c))
    return {frozenset(members) for members in found.values()}


def questions(data, phones, context_width=2):
    """As sets of (left, right, class): the class, then those that the tree asks, left and right."""
    everyone, classes = range(phones + 1), range(2)
    stats = np.zeros((phones, 5))
    for (_, p, _, _), x in data.items():
        stats[p - 1] += clustering.statistics(x)
    sets = clustering.phone_sets(stats, FLOOR)
    asked = [itertools.product(everyone, everyone, [0])]
    asked += [itertools.product(members, everyone, classes) for members in sets]
    if context_width == 3:
        asked += [itertools.product(everyone, members, classes) for members in sets]
    return [frozenset(question) for question in asked]


@pytest.mark.parametrize("floor", [0.01, 1.0])
def test_log_likelihood_is_that_of_the_frames(floor):
    rng = np.random.default_rng(0)
    for n in (0, 1, 2, 7):
        x = rng.normal(3.0, 0.5, (n, 3))
        found = clustering.log_likelihood(clustering.statistics(x), floor)
        assert found == pytest.approx(twin.log_likelihood(x, floor), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_clustering_is_the_brute_force_one(seed):
    rng = np.random.default_rng(seed)
    members = [rng.normal(size=(int(rng.integers(1, 6)), 2)) * 3 for _ in range(8)]
    groups = rng.integers(0, 1 + seed % 3, 8).tolist()
    wanted = twin.cluster(members, groups, FLOOR)
    stats = np.stack([clustering.statistics(m) for m in members])
    found = list(clustering.merges(stats, groups, FLOOR))
    assert [m[1:] for m in found] == [m[1:] for m in wanted]
    np.testing.assert_allclose([m[0] for m in found], [m[0] for m in wanted], atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_phone_sets_are_the_nodes_of_the_clustering_without_its_root(seed):
    rng = np.random.default_rng(seed)
    members = [rng.normal(size=(4, 2)) * 3 for _ in range(6)]
    members[2] = np.zeros((0, 2))  # never heard: in no set
    heard = [p for p in range(1, 7) if p != 3]
    sets = [{p} for p in heard]
    for _, i, j in twin.cluster([members[p - 1] for p in heard], [0] * 5, FLOOR):
        sets.append(sets[i] | sets[j])
    found = clustering.phone_sets(np.stack([clustering.statistics(m) for m in members]), FLOOR)
    assert len(found) == len(set(found)) == 8 and set(found) == set(map(frozenset, sets[:-1]))
    assert [len(s) for s in found[3:]] == [1] * 5 and len(found[0]) > 1
    assert clustering.phone_sets(np.ones((1, 5)), FLOOR) == []


CORPORA = [
    *((frames(seed, n), n, 2) for seed, n in ((0, 2), (1, 3), (2, 3), (3, 4), (4, 4))),
    *((triphone_frames(seed, n), n, 3) for seed, n in ((0, 2), (1, 3), (2, 3))),
    (triphone_frames(3, 3), 3, 2),  # a left-biphone tree of the same statistics
]


@pytest.mark.parametrize(("data", "phones", "context_width"), CORPORA)
def test_splits_are_those_of_a_brute_force_search(data, phones, context_width):
    stats = statistics(data)
    history, gains = twin.split(data, phones, questions(data, phones, context_width), FLOOR)
    assert len(gains) > 5
    widths = set()
    for leaves, wanted in enumerate(history, phones):
        tree, growth = build_tree(
            stats, NAMES[:phones], leaves, merge=False, floor=FLOOR, context_width=context_width
        )
        widths.add(tree.context_width)
        assert tree.num_pdfs == growth.split == leaves and growth.merged == 0
        assert partition(tree) == wanted
        per_frame = (growth.after - growth.before) * growth.frames
        assert per_frame == pytest.approx(sum(gains[: leaves - phones]), abs=1e-7)
    assert max(widths) == context_width


DENSE = [
    *((frames(seed, n, missing=0.1), n, 2) for seed, n in ((0, 3), (1, 3), (2, 4), (5, 4))),
    *((triphone_frames(seed, n), n, 3) for seed, n in ((0, 2), (1, 2), (2, 3))),
]


@pytest.mark.parametrize(("data", "phones", "context_width"), DENSE)
def test_merged_leaves_are_those_of_a_brute_force_search(data, phones, context_width):
    stats = statistics(data)
    history, gains = twin.split(data, phones, questions(data, phones, context_width), FLOOR)
    merged = 0
    options = {"floor": FLOOR, "context_width": context_width}
    for leaves in range(phones, phones + len(gains)):
        tree, growth = build_tree(stats, NAMES[:phones], leaves, **options)
        assert tree.num_pdfs == leaves == growth.split - growth.merged
        clusters = sorted(map(sorted, history[growth.split - phones]))
        members = [
            np.concatenate([np.zeros((0, 2)), *(data[c] for c in contexts if c in data)])
            for contexts in clusters
        ]
        pairs = twin.cluster(members, [contexts[0][1] for contexts in clusters], FLOOR)
        for loss, i, j in pairs[: growth.merged]:
            assert loss < min(gains[: growth.split - phones])
            clusters.append(clusters[i] + clusters[j])
            clusters[i] = clusters[j] = []
        assert partition(tree) == {frozenset(c) for c in clusters if c}
        plain, without = build_tree(stats, NAMES[:phones], leaves, merge=False, **options)
        assert growth.after > without.after - 1e-9  # merging and splitting on can only help
        merged += growth.merged
    assert merged > 1


def test_leaves_are_of_one_phone_and_numbered_phone_by_phone():
    data = triphone_frames(1, 4)
    tree, _ = build_tree(statistics(data), NAMES[:4], 17, context_width=3)
    table = tree.leaves().table
    owners = [np.unique(table[:, p]).tolist() for p in range(4)]
    assert sum(owners, []) == list(range(17))


def test_without_context_the_classes_are_the_monophones_pdfs():
    rng = np.random.default_rng(0)
    data = {
        (0, p, 0, c): rng.normal(5.0 * p + 2 * c, 1.0, (30, 2)) for p in (1, 2, 3) for c in (0, 1)
    }
    for context_width in (2, 3):
        tree, _ = build_tree(statistics(data), NAMES[:3], 6, context_width=context_width)
        assert (tree.leaves().table == np.arange(6).reshape(1, 3, 1, 2)).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_contexts_that_nobody_heard_have_the_leaf_of_their_answers(side):
    """C is said beside A and B only, which differ; SIL and D sound like A, so C there is alike."""
    rng = np.random.default_rng(0)
    sound = {1: 0.0, 2: 0.1, 3: 9.0, 4: 4.0, 5: 0.2}
    data = {(0, p, 0, c): rng.normal(m, 0.1, (20, 2)) for p, m in sound.items() for c in (0, 1)}
    for other, mean in ((2, 3.0), (3, 6.0)):
        for c in (0, 1):
            context = (other, 4, 0, c) if side == "left" else (0, 4, other, c)
            data[context] = rng.normal(mean, 0.1, (20, 2))
    tree, _ = build_tree(statistics(data), NAMES, 12, merge=False, context_width=3)
    leaves = tree.leaves()
    assert tree.context_width == (2 if side == "left" else 3)
    beside = {p: leaves.pdfs(p, 4, 0) if side == "left" else leaves.pdfs(0, 4, p) for p in range(6)}
    assert beside[1] == beside[2] == beside[5]  # asked for a set that has SIL, A and D
    assert not set(beside[3]) & set(beside[2])
    # neither end of the sentence is in a set, so it says no to all of them
    assert beside[0] != beside[2]
    assert sorted(np.unique(leaves.table)) == list(range(tree.num_pdfs))


def test_too_many_leaves_are_said_to_be(caplog):
    stats = statistics(frames(0, 3))
    with caplog.at_level(logging.WARNING):
        tree, growth = build_tree(stats, NAMES[:3], 100)
        strict, _ = build_tree(stats, NAMES[:3], 100, min_gain=20.0)
    assert tree.num_pdfs == growth.split <= len(stats) and strict.num_pdfs < tree.num_pdfs
    assert f"{tree.num_pdfs} leaves instead of 100: no question gains more than 0" in caplog.text
    assert f"{strict.num_pdfs} leaves instead of 100: no question gains more than 20" in caplog.text


def test_phones_without_data_have_a_leaf_and_are_named(caplog):
    data = {k: v for k, v in triphone_frames(0, 4).items() if 3 not in k[:3]}
    tree, _ = build_tree(statistics(data), NAMES[:4], 9, context_width=3)
    assert tree.num_pdfs == 9 and len(np.unique(tree.leaves().table[:, 2])) == 1
    assert "1 phones have no data: B" in caplog.text
    assert not tree.sets[:, 3].any() and not tree.sets[:, 0].any()


def test_sizes_that_cannot_be_are_refused():
    stats = statistics(triphone_frames(0, 3))
    with pytest.raises(ValueError, match="2 leaves for 3 phones"):
        build_tree(stats, NAMES[:3], 2)
    with pytest.raises(ValueError, match=r"other phones than 1\.\.2"):
        build_tree(stats, NAMES[:2], 9)
    with pytest.raises(ValueError, match="no frames"):
        build_tree({(0, 1, 0, 0): np.zeros(5)}, NAMES[:3], 9)
    for width in (1, 4):
        with pytest.raises(ValueError, match=f"context_width is {width}; wanted 2 .* or 3"):
            build_tree(stats, NAMES[:3], 9, context_width=width)


@pytest.mark.parametrize("context_width", [2, 3])
def test_tree_is_read_as_it_was_written(tmp_path, context_width):
    stats = statistics(triphone_frames(0, 4))
    tree, _ = build_tree(stats, NAMES[:4], 14, context_width=context_width)
    assert tree.context_width == context_width
    tree.save(tmp_path / "tree.npz")
    again = Tree.load(tmp_path / "tree.npz")
    assert again.leaves() == tree.leaves() and again.phones == tree.phones
    assert again.context_width == context_width
    tree.save(tmp_path / "twice.npz")
    assert (tmp_path / "twice.npz").read_bytes() == (tmp_path / "tree.npz").read_bytes()


def _damages():
    def cycle(a):
        inner = int(np.flatnonzero(a["question"] != LEAF)[0])
        a["yes"][inner] = inner

    def gap(a):
        a["pdf"][a["pdf"] >= 0] += 1

    def foreign(a):
        a["phones"] = a["phones"][:-1]

    def unknown(a):
        a["question"][np.flatnonzero(a["question"] >= CLASS)[0]] = 999

    def lacking(a):
        del a["no"]

    def shorter(a):
        a["pdf"] = a["pdf"][:-1]

    return [cycle, gap, foreign, unknown, lacking, shorter]


@pytest.mark.parametrize("damage", _damages())
def test_damaged_trees_are_refused_by_name(tmp_path, damage):
    tree, _ = build_tree(statistics(triphone_frames(0, 4)), NAMES[:4], 14, context_width=3)
    path = tmp_path / "tree.npz"
    tree.save(path)
    with np.load(path) as data:
        arrays = {k: data[k].copy() for k in data.files}
    damage(arrays)
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"tree\.npz is not a readable tree .*`chainstitch tree`"):
        Tree.load(path)


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz does not exist; make it with"):
        Tree.load(tmp_path / "none.npz")
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(UserError, match="not a readable tree"):
        Tree.load(tmp_path / "text")


@pytest.mark.parametrize(
    ("durations", "wanted"),
    [
        ([9, 6], [0, 3]), ([7, 6], [0, 3]), ([1, 1, 1, 6], None), ([1, 1, 1, 7], [0, 1, 2, 3]),
        ([12, 1, 1, 1], [0, 2, 3, 4]), ([4], [0]), ([1], [0]), ([8, 1, 6, 1], [0, 3, 4, 5]),
    ],
)  # fmt: skip
def test_every_phone_has_an_output_frame(durations, wanted):
    assert tree_statistics.output_begins(durations) == wanted


def test_statistics_count_the_frames_that_the_network_will_see():
    features = np.random.default_rng(0).normal(size=(20, 2))
    stats = {}
    assert tree_statistics.add_statistics(stats, features, [(1, 7), (3, 5), (2, 8)])
    # output frames stand at inputs 0 3 6 | 9 | 12 15 18
    for context, inputs in {
        (0, 1, 3, 0): [0], (0, 1, 3, 1): [3, 6], (1, 3, 2, 0): [9], (3, 2, 0, 0): [12],
        (3, 2, 0, 1): [15, 18],
    }.items():  # fmt: skip
        np.testing.assert_allclose(
            stats.pop(context), clustering.statistics(features[inputs]), atol=1e-12
        )
    assert not stats  # a phone of one output frame has no loop
    assert not tree_statistics.add_statistics(stats, features[:3], [(1, 1), (2, 2)])
    assert not stats


def test_differences_are_slopes():
    t = np.arange(12.0)[:, None]
    found = tree_statistics.with_differences(np.hstack([t, t**2]))
    assert found.shape == (12, 6)
    np.testing.assert_allclose(found[4:8, 2], 1.0)  # d t
    np.testing.assert_allclose(found[4:8, 3], 2 * t[4:8, 0])  # d t^2
    np.testing.assert_allclose(found[4:8, 5], 2.0)
