"""Context trees: splits, questions and merges are a brute-force search's; leaves are counted."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest

from chainstitch.nnet.chain import clustering, tree_statistics
from chainstitch.nnet.chain.tree import CLASS, LEAF, Tree
from chainstitch.nnet.chain.tree_growing import build_tree
from chainstitch.utils.errors import UserError
from tests.reference import tree as twin

FLOOR = 0.05
NAMES = ["SIL", "A", "B", "C", "D"]


def frames(seed, phones, dim=2, most=6, missing=0.3):
    """(left, phone, class) -> frames, some contexts without any."""
    rng = np.random.default_rng(seed)
    data = {}
    for left, p, c in itertools.product(range(phones + 1), range(1, phones + 1), range(2)):
        n = int(rng.integers(0, most)) * (rng.random() > missing)
        centre = rng.normal(size=dim) * 2 + np.arange(dim) * p
        if n:
            data[left, p, c] = centre + rng.normal(size=(n, dim)) * rng.choice([0.0, 0.5, 2.0])
    return data


def statistics(data, phones):
    dim = next(iter(data.values())).shape[1]
    stats = np.zeros((phones + 1, phones, 2, 1 + 2 * dim))
    for (left, p, c), x in data.items():
        stats[left, p - 1, c] = clustering.statistics(x)
    return stats


def partition(tree):
    """The contexts of each pdf."""
    table, found = tree.leaves().table, {}
    for left, p, c in itertools.product(*(range(n) for n in table.shape)):
        found.setdefault(int(table[left, p, c]), set()).add((left, p + 1, c))
    return {frozenset(members) for members in found.values()}


def questions(stats):
    """As sets of (left, class): the class first, then those that the tree asks."""
    lefts = range(len(stats))
    sets = clustering.phone_sets(stats.sum(axis=(0, 2)), FLOOR)
    return [frozenset((left, 0) for left in lefts)] + [
        frozenset(itertools.product(members, range(2))) for members in sets
    ]


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


@pytest.mark.parametrize(("seed", "phones"), [(0, 2), (1, 3), (2, 3), (3, 4), (4, 4)])
def test_splits_are_those_of_a_brute_force_search(seed, phones):
    data = frames(seed, phones)
    stats = statistics(data, phones)
    history, gains = twin.split(data, phones, questions(stats), FLOOR)
    assert len(gains) > 5
    for leaves, wanted in enumerate(history, phones):
        tree, growth = build_tree(stats, NAMES[:phones], leaves, merge=False, floor=FLOOR)
        assert tree.num_pdfs == growth.split == leaves and growth.merged == 0
        assert partition(tree) == wanted
        per_frame = (growth.after - growth.before) * growth.frames
        assert per_frame == pytest.approx(sum(gains[: leaves - phones]), abs=1e-7)


@pytest.mark.parametrize(("seed", "phones"), [(0, 3), (1, 3), (2, 4), (5, 4)])
def test_merged_leaves_are_those_of_a_brute_force_search(seed, phones):
    data = frames(seed, phones, missing=0.1)
    stats = statistics(data, phones)
    history, gains = twin.split(data, phones, questions(stats), FLOOR)
    merged = 0
    for leaves in range(phones, phones + len(gains)):
        tree, growth = build_tree(stats, NAMES[:phones], leaves, floor=FLOOR)
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
        plain, without = build_tree(stats, NAMES[:phones], leaves, merge=False, floor=FLOOR)
        assert growth.after > without.after - 1e-9  # merging and splitting on can only help
        merged += growth.merged
    assert merged > 1


def test_leaves_are_of_one_phone_and_numbered_phone_by_phone():
    data = frames(1, 4, most=20)
    tree, _ = build_tree(statistics(data, 4), NAMES[:4], 17)
    table = tree.leaves().table
    owners = [np.unique(table[:, p]).tolist() for p in range(4)]
    assert sum(owners, []) == list(range(17))


def test_without_context_the_classes_are_the_monophones_pdfs():
    rng = np.random.default_rng(0)
    data = {(0, p, c): rng.normal(5.0 * p + 2 * c, 1.0, (30, 2)) for p in (1, 2, 3) for c in (0, 1)}
    tree, _ = build_tree(statistics(data, 3), NAMES[:3], 6)
    assert (tree.leaves().table == np.arange(6).reshape(1, 3, 2)).all()


def test_contexts_that_nobody_heard_have_the_leaf_of_their_answers():
    """C is said after A and B only, which differ; SIL and D sound like A, so what follows does."""
    rng = np.random.default_rng(0)
    sound = {1: 0.0, 2: 0.1, 3: 9.0, 4: 4.0, 5: 0.2}
    data = {(0, p, c): rng.normal(m, 0.1, (20, 2)) for p, m in sound.items() for c in (0, 1)}
    data |= {(2, 4, 0): rng.normal(3, 0.1, (20, 2)), (3, 4, 0): rng.normal(6, 0.1, (20, 2))}
    data |= {(2, 4, 1): rng.normal(3, 0.1, (20, 2)), (3, 4, 1): rng.normal(6, 0.1, (20, 2))}
    stats = statistics(data, 5)
    tree, _ = build_tree(stats, NAMES, 12, merge=False)
    leaves = tree.leaves()
    for c in (leaves.entry, leaves.loop):
        assert c(1, 4) == c(2, 4) == c(5, 4)  # asked for a set that has SIL, A and D
        assert c(3, 4) not in {c(2, 4)}
    assert sorted(np.unique(leaves.table)) == list(range(tree.num_pdfs))


def test_too_many_leaves_are_said_to_be(caplog):
    data = frames(0, 3)
    stats = statistics(data, 3)
    with caplog.at_level(logging.WARNING):
        tree, growth = build_tree(stats, NAMES[:3], 100)
        strict, _ = build_tree(stats, NAMES[:3], 100, min_gain=20.0)
    seen = np.count_nonzero(stats[..., 0])
    assert tree.num_pdfs == growth.split <= seen and strict.num_pdfs < tree.num_pdfs
    assert f"{tree.num_pdfs} leaves instead of 100: no question gains more than 0" in caplog.text
    assert f"{strict.num_pdfs} leaves instead of 100: no question gains more than 20" in caplog.text


def test_phones_without_data_have_a_leaf_and_are_named(caplog):
    data = {k: v for k, v in frames(0, 4).items() if k[1] != 3 and k[0] != 3}
    tree, _ = build_tree(statistics(data, 4), NAMES[:4], 9)
    assert tree.num_pdfs == 9 and len(np.unique(tree.leaves().table[:, 2])) == 1
    assert "1 phones have no data: B" in caplog.text
    assert not tree.sets[:, 3].any() and not tree.sets[:, 0].any()


def test_sizes_that_cannot_be_are_refused():
    stats = statistics(frames(0, 3), 3)
    with pytest.raises(ValueError, match="2 leaves for 3 phones"):
        build_tree(stats, NAMES[:3], 2)
    with pytest.raises(ValueError, match="not those of 4 phones"):
        build_tree(stats, NAMES[:4], 9)
    with pytest.raises(ValueError, match="no frames"):
        build_tree(0 * stats, NAMES[:3], 9)


def test_tree_is_read_as_it_was_written(tmp_path):
    tree, _ = build_tree(statistics(frames(0, 4), 4), NAMES[:4], 14)
    tree.save(tmp_path / "tree.npz")
    again = Tree.load(tmp_path / "tree.npz")
    assert again.leaves() == tree.leaves() and again.phones == tree.phones
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
    tree, _ = build_tree(statistics(frames(0, 4), 4), NAMES[:4], 14)
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
    stats = np.zeros((4, 3, 2, 5))
    assert tree_statistics.add_statistics(stats, features, [(1, 7), (3, 5), (1, 8)])
    # output frames stand at inputs 0 3 6 | 9 | 12 15 18
    for context, inputs in {
        (0, 1, 0): [0], (0, 1, 1): [3, 6], (1, 3, 0): [9], (1, 3, 1): [], (3, 1, 0): [12],
        (3, 1, 1): [15, 18],
    }.items():  # fmt: skip
        left, p, c = context
        np.testing.assert_allclose(
            stats[left, p - 1, c], clustering.statistics(features[inputs]), atol=1e-12
        )
        stats[left, p - 1, c] = 0
    assert not stats.any()
    assert not tree_statistics.add_statistics(stats, features[:3], [(1, 1), (2, 2)])
    assert not stats.any()


def test_differences_are_slopes():
    t = np.arange(12.0)[:, None]
    found = tree_statistics.with_differences(np.hstack([t, t**2]))
    assert found.shape == (12, 6)
    np.testing.assert_allclose(found[4:8, 2], 1.0)  # d t
    np.testing.assert_allclose(found[4:8, 3], 2 * t[4:8, 0])  # d t^2
    np.testing.assert_allclose(found[4:8, 5], 2.0)
