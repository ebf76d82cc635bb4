"""Training as a whole: the plain-loop twin, seeds, schedules, and giving up in words."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import pytest
import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.optim import SGD, NaturalGradient
from chainstitch.nnet.train.log import line
from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UsageError, UserError
from tests.toy import XCONFIG, Toy, same_tensors
from tests.training import BACKSTITCH, PLAIN, SHRINKING, Settings, settings, trained, trainer


def test_without_backstitch_it_is_the_plain_loop(toy: Toy, tmp_path: Path) -> None:
    made = trained(toy, tmp_path / "exp", PLAIN)
    torch.manual_seed(0)
    network, loss = Network(XCONFIG, made.network.num_outputs), toy.loss()
    natural_gradient, sgd = NaturalGradient(network), SGD(network, 1.0)
    for iteration in range(made.plan.num_iterations):
        sgd.set_lr(made.rows[iteration]["lr"])
        sgd.max_change = 2.0 / 2**0.5 if iteration == 0 else 2.0
        torch.manual_seed(iteration)
        torch.randint(100_000, ())  # backstitch's phase, drawn whether it is used or not
        for minibatch in made.plan.iteration(iteration):
            batch = made.examples.batch(minibatch.indices)
            network.zero_grad()
            outputs, lengths = network(batch.features, batch.lengths, minibatch.shift)
            loss(outputs, lengths, batch.targets).backward()
            natural_gradient.precondition_gradients()
            sgd.step()
    assert same_tensors(made.network.state_dict(), network.state_dict())


def test_backstitch_of_scale_zero_is_the_baseline(toy: Toy, tmp_path: Path) -> None:
    zero = settings(5e-3, 1e-3, backstitch_scale=0.0, backstitch_interval=1, slow_start=1)
    one, other = trained(toy, tmp_path / "a", PLAIN), trained(toy, tmp_path / "b", zero)
    assert same_tensors(one.network.state_dict(), other.network.state_dict())
    assert all("step2_objf" not in row and row["alpha"] == 0 for row in other.rows)
    stitched = trained(toy, tmp_path / "c", BACKSTITCH)
    assert not same_tensors(one.network.state_dict(), stitched.network.state_dict())


@pytest.mark.parametrize("schedule", [PLAIN, BACKSTITCH])
def test_the_seed_decides_everything(toy: Toy, tmp_path: Path, schedule: Settings) -> None:
    one, again, other = (
        trained(toy, tmp_path / str(n), schedule, seed=seed).network.state_dict()
        for n, seed in enumerate((1, 1, 2))
    )
    assert same_tensors(one, again) and not same_tensors(one, other)


@pytest.mark.parametrize("schedule", [PLAIN, BACKSTITCH])
def test_objective_is_never_positive_and_improves(
    toy: Toy, tmp_path: Path, schedule: Settings
) -> None:
    made = trained(toy, tmp_path / "exp", schedule, passes=6.0)
    lines = (tmp_path / "exp" / "train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows == made.rows and [row["iter"] for row in rows] == [0, 1, 2]
    for name in ("train_objf", "train_diag_objf", "valid_objf"):
        values = [row[name] for row in rows]
        assert max(values) <= 0 and values == sorted(values), name
    step2 = [row.get("step2_objf") for row in rows]
    assert step2[0] is None  # slow start
    if schedule is BACKSTITCH:  # the first step goes uphill
        assert all(a < b["train_objf"] for a, b in zip(step2[1:], rows[1:], strict=True))


def test_rows_say_how_the_settings_moved(toy: Toy, tmp_path: Path) -> None:
    rows = trained(toy, tmp_path / "exp", BACKSTITCH).rows
    assert [row["alpha"] for row in rows] == [0.0, 0.5, 1.0]
    assert rows[0]["lr"] == 5e-3 and rows[-1]["lr"] == pytest.approx(1e-3)
    assert [row["passes"] for row in rows] == pytest.approx([2 / 3, 4 / 3, 2.0])
    outputs = 2 * sum(-(-int(n) // 3) for n in toy.examples().frames)
    assert sum(row["frames"] for row in rows) == outputs


def test_dropout_follows_its_schedule(toy: Toy, tmp_path: Path) -> None:
    made = trainer(toy, tmp_path / "exp", settings(5e-3, 1e-3, dropout="tdnn1=0.2,0.4,0"))
    seen: list[float] = []
    (layer,) = made.dropouts.values()
    layer.register_forward_pre_hook(lambda module, _: seen.append(float(module.p)))
    made.run()
    # at a third and two thirds of the way from 0.2 over 0.4, in the middle, to 0
    wanted = [0.2, 0.2 + 0.2 * (1 / 3) / 0.5, 0.4 - 0.4 * (2 / 3 - 0.5) / 0.5]
    found = [row["dropout"]["tdnn1"] for row in made.rows]
    assert found == pytest.approx(wanted)
    assert seen == sorted(seen, key=found.index) and set(seen) == set(found)
    assert "alpha 0.00 dropout 0.33 objf" in line(made.rows[1], 3)


def test_layers_keep_their_own_dropout_without_a_schedule(toy: Toy, tmp_path: Path) -> None:
    rows = trained(toy, tmp_path / "exp", PLAIN).rows
    assert all(row["dropout"] == {"tdnn1": 0.1} and row["shrink"] == 1.0 for row in rows)
    said = line(rows[0] | {"dropout": {"a": 0.1, "b": 0.3, "c": 0.2}, "shrink": 0.98}, 3)
    assert "alpha 0.00 dropout 0.10-0.30 shrink 0.9800 objf" in said
    assert "alpha 0.00 objf" in line(rows[0] | {"dropout": {}}, 3)


def test_constant_schedule_is_the_proportion_of_the_xconfig(toy: Toy, tmp_path: Path) -> None:
    one = trained(toy, tmp_path / "a", PLAIN)
    same = settings(5e-3, 1e-3, dropout="0.1,0.1")
    zero = XCONFIG.replace("dropout-proportion=0.1", "dropout-proportion=0")
    other = trained(toy, tmp_path / "b", same, xconfig=zero)
    assert same_tensors(one.network.state_dict(), other.network.state_dict())


def test_dropout_schedule_that_fits_no_layer_is_refused(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no layer fits 'lstm.'; layers with dropout: tdnn1"):
        trainer(toy, tmp_path / "exp", settings(5e-3, 1e-3, dropout="lstm*=0,0.3,0"))


@pytest.mark.parametrize("saturated", [False, True])
def test_parameters_shrink_once_before_each_iteration(
    toy: Toy, tmp_path: Path, saturated: bool
) -> None:
    made = trainer(toy, tmp_path / "exp", SHRINKING)
    network = made.network
    derivatives = torch.full((3,), 0.55 if saturated else 0.65)  # of 1: saturation .45 or .35
    network.average_derivatives = lambda: derivatives  # type: ignore[assignment]
    forgotten: list[int] = []
    network.forget_derivatives = lambda: forgotten.append(1)  # type: ignore[assignment]

    def state() -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in network.state_dict().items()}

    before, began = [state()], []

    def keep(*_: object) -> None:
        if network.training and len(began) == len(made.rows):  # the first minibatch of each
            began.append(state())

    network.register_forward_pre_hook(keep)
    made.run()
    before += [checkpoint.load(tmp_path / "exp" / f"{n}.pt")["model"] for n in (1, 2)]
    wanted = [1 - 20 * row["lr"] for row in made.rows]
    wanted = [wanted[0], *(min(0.95, w) if saturated else w for w in wanted[1:])]
    assert [row["shrink"] for row in made.rows] == wanted
    assert (wanted[-1] == 0.95) == saturated
    assert len(forgotten) == len(made.rows)  # each iteration measures anew
    parameters = dict(network.named_parameters())
    assert len(parameters) < len(before[0])  # the others are batch-norm's statistics
    for old, new, scale in zip(before, began, wanted, strict=True):
        shrunk = {name: v * scale if name in parameters else v for name, v in old.items()}
        assert same_tensors(new, shrunk)


def test_utterances_that_rules_leave_out_are_counted(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = trained(toy, tmp_path / "exp", PLAIN, rules=MinibatchRules("5"))
    assert "4 examples of each pass fill no minibatch and are left out" in caplog.text
    assert made.plan.total == 8 and len(made.rows) == 3


@pytest.mark.parametrize("schedule", [BACKSTITCH, SHRINKING])
def test_resuming_from_any_checkpoint_changes_nothing(
    toy: Toy, tmp_path: Path, schedule: Settings
) -> None:
    whole = trained(toy, tmp_path / "whole", schedule)
    for number in (1, 2, 3):
        out = tmp_path / str(number)
        made = trainer(toy, out, schedule)
        (out / f"{number}.pt").write_bytes((tmp_path / "whole" / f"{number}.pt").read_bytes())
        torch.rand(number)  # wherever the generator stands
        assert made.resume() and made.next_iteration == number
        made.run()
        assert same_tensors(made.network.state_dict(), whole.network.state_dict())
        assert [row["valid_objf"] for row in made.rows] == [r["valid_objf"] for r in whole.rows]


MOMENTUM = settings(5e-3, 1e-3, momentum=0.5)


def test_momentum_survives_a_resume(toy: Toy, tmp_path: Path) -> None:
    whole = trained(toy, tmp_path / "whole", MOMENTUM)
    made = trainer(toy, tmp_path / "rest", MOMENTUM)
    (tmp_path / "rest" / "2.pt").write_bytes((tmp_path / "whole" / "2.pt").read_bytes())
    assert made.resume()
    made.run()
    assert same_tensors(made.network.state_dict(), whole.network.state_dict())


def test_checkpoint_of_a_run_of_another_length_is_refused(toy: Toy, tmp_path: Path) -> None:
    trained(toy, tmp_path / "one", PLAIN)
    other = trainer(toy, tmp_path / "other", PLAIN, passes=0.1)
    (tmp_path / "other" / "1.pt").write_bytes((tmp_path / "one" / "1.pt").read_bytes())
    with pytest.raises(UserError, match=r"1\.pt is from a run of 3 iterations.*--overwrite"):
        other.resume()


def test_only_the_newest_checkpoints_are_kept(toy: Toy, tmp_path: Path) -> None:
    trained(toy, tmp_path / "exp", PLAIN, keep=2)
    assert checkpoint.iterations(tmp_path / "exp") == [2, 3]


def test_updates_that_are_not_finite_end_in_advice(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"updates were not finite.*optim\.initial_lr"):
        trained(toy, tmp_path / "exp", settings(1e38, 1e38))


@pytest.mark.parametrize("name", ["layers.output.weight", "layers.tdnn1.2.running_mean"])
def test_output_that_is_not_finite_ends_in_advice(toy: Toy, tmp_path: Path, name: str) -> None:
    made = trainer(toy, tmp_path / "exp", PLAIN)
    made.network.state_dict()[name].fill_(float("nan"))  # in training, in diagnostics
    with pytest.raises(UserError, match=r"output is not finite.*optim\.initial_lr"):
        made.run()


def test_the_objective_of_a_backstitched_minibatch_is_that_of_the_unperturbed_parameters(
    toy: Toy, tmp_path: Path
) -> None:
    """And the second step's is logged apart."""
    rows = []
    for scale in (0.0, 1.0):
        schedule = settings(5e-2, 5e-2, backstitch_scale=scale, backstitch_interval=1, slow_start=0)
        made = trainer(toy, tmp_path / f"exp{scale}", schedule)
        one = BatchPlan(len(made.examples), len(made.examples), 1.0, 1)  # minibatch
        made.plan = one
        made.run()
        rows.append(made.rows[0])
    assert rows[1]["train_objf"] == rows[0]["train_objf"]
    assert "step2_objf" not in rows[0]
    assert rows[1]["step2_objf"] < rows[1]["train_objf"] - 1e-3


def test_limits_of_layers_and_of_all_are_switched_off_apart(toy: Toy, tmp_path: Path) -> None:
    acted = {}
    for layers in (True, False):
        for limit in (0.2, 0.0):
            schedule = settings(0.5, 0.5, max_change=limit, layer_max_change=layers)
            made = trained(toy, tmp_path / f"{layers}_{limit}", schedule, passes=1.0)
            rows = [row["max_change"] for row in made.rows]
            acted[layers, limit] = tuple(
                any(row[name] > 0 for row in rows) for name in ("per_layer", "global")
            )
    assert acted == {
        (True, 0.2): (True, True),
        (True, 0.0): (True, False),
        (False, 0.2): (False, True),
        (False, 0.0): (False, False),
    }


def test_an_lstm_trains_and_its_saturation_is_measured_and_resumed(
    toy: Toy, tmp_path: Path
) -> None:
    text = XCONFIG.replace(
        "output-layer",
        "fast-lstmp-layer name=lstm1 cell-dim=16 delay=-3 decay-time=20\noutput-layer",
    )
    schedule = settings(5e-3, 1e-3, backstitch_scale=0.3, backstitch_interval=2)
    made = trained(toy, tmp_path / "whole", schedule, xconfig=text, passes=6.0)
    rows = made.rows
    assert rows[-1]["train_diag_objf"] > rows[0]["train_diag_objf"]
    assert rows[0]["saturation"] == 0.0  # nothing measured yet
    assert all(0.0 < row["saturation"] < 1.0 for row in rows[1:])
    cut = trainer(toy, tmp_path / "cut", schedule, xconfig=text, passes=6.0)
    (tmp_path / "cut" / "1.pt").write_bytes((tmp_path / "whole" / "1.pt").read_bytes())
    assert cut.resume()
    cut.run()
    assert same_tensors(cut.network.state_dict(), made.network.state_dict())
    assert [r["saturation"] for r in cut.rows] == [r["saturation"] for r in rows]


def test_a_trainer_that_nobody_holds_is_gone_at_once_and_with_it_its_open_files(
    toy: Toy, tmp_path: Path
) -> None:
    made = trained(toy, tmp_path / "exp", PLAIN)
    still_there = weakref.ref(made)
    gc.disable()  # which would also find it, at some later time
    try:
        del made
        assert still_there() is None
    finally:
        gc.enable()
