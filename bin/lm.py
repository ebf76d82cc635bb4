"""`chainstitch lm`: n-gram language models in ARPA files: train, mix, prune, limit, measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="ARPA file, plain or .gz.")]
Out = Annotated[Path, typer.Option(help="ARPA file to write; gzipped if its name ends in .gz.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]


def lm() -> None:
    """N-gram language models. They are ARPA files, as `chainstitch lang --lm` takes them.

    Examples:
    chainstitch lm train train.txt.gz --order 4 --vocab words.txt --out big.arpa.gz
    chainstitch lm mix ted.arpa.gz big.arpa.gz --heldout dev.txt --out mix.arpa.gz
    chainstitch lm prune mix.arpa.gz --ngrams 2000000 --out small.arpa.gz
    """


def train(
    text: Annotated[
        list[Path], typer.Argument(help="Sentences, one a line, plain or .gz; or data directories.")
    ],
    out: Out,
    order: Annotated[int, typer.Option(min=2, max=6, help="Length of the longest n-grams.")] = 3,
    min_count: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            max=10**9,
            help="Leave out n-grams seen less often: of order 2; given again, of order 3, ...",
        ),
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option(help="Words, one a line, or a lexicon: all other words become <unk>."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train an interpolated modified Kneser-Ney model on text of any length.

    Example: chainstitch lm train lm_text/*.gz --order 4 --min-count 1 --min-count 2 \
--vocab lexicon.txt --out big.arpa.gz
    """
    from chainstitch.utils.lm.arpa_file import KIND
    from chainstitch.utils.lm.training import train as train_model
    from chainstitch.utils.outputs import check_file

    check_file(out, KIND, overwrite, [*text, vocab])
    trained = train_model(text, out, order, min_count or (), vocab)
    print(f"{out}: {trained.words} words of text, {_sizes(trained.counts)}")


def mix(
    models: Annotated[list[Path], typer.Argument(help="ARPA files, plain or .gz.")],
    out: Out,
    heldout: Annotated[
        Path | None, typer.Option(help="Text that the weights are chosen on, by EM.")
    ] = None,
    weight: Annotated[
        list[float] | None,
        typer.Option(min=0.0, max=1.0, help="Or the weights themselves, one for each model."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Mix models linearly: all n-grams of all, probabilities weighted, back-off weights anew.

    Example: chainstitch lm mix ami.arpa.gz fisher.arpa.gz --heldout dev.txt --out mix.arpa.gz
    """
    from chainstitch.utils.lm.arpa_file import KIND, read_model, write_model
    from chainstitch.utils.lm.mixture import choose_weights
    from chainstitch.utils.lm.mixture import mix as mix_models
    from chainstitch.utils.outputs import check_file

    check_file(out, KIND, overwrite, [*models, heldout])
    read = [read_model(model) for model in models]
    weights = choose_weights(read, heldout, weight)
    mixture = mix_models(read, weights)
    write_model(mixture, out)
    parts = zip(weights, models, strict=True)
    named = " + ".join(f"{weight:.6f} {model}" for weight, model in parts)
    print(f"{out}: {named}; {_sizes(mixture.counts)}")


def prune(
    model: Model,
    out: Out,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Remove n-grams that matter less: 1e-7.")
    ] = None,
    ngrams: Annotated[
        int | None, typer.Option(min=1, max=10**12, help="Or leave so many, of all orders.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="relative-entropy (SRILM's), or weighted-difference (IRSTLM's).")
    ] = "relative-entropy",
    overwrite: Overwrite = False,
) -> None:
    """Remove the n-grams whose absence changes the model least, and say what size results.

    Example: chainstitch lm prune mix.arpa.gz --threshold 1e-7 --method weighted-difference \
--out mix.pr1-7.arpa.gz
    """
    from chainstitch.utils.lm.arpa_file import KIND, read_model, write_model
    from chainstitch.utils.lm.prune import Pruning
    from chainstitch.utils.lm.prune import prune as prune_model
    from chainstitch.utils.outputs import check_file

    check_file(out, KIND, overwrite, [model])
    wanted = Pruning(method, threshold, ngrams)
    pruned = read_model(model)
    before = _sizes(pruned.counts)
    prune_model(pruned, wanted)
    write_model(pruned, out)
    print(f"{out}: {_sizes(pruned.counts)}; before: {before}")


def limit(
    model: Model,
    vocab: Annotated[Path, typer.Option(help="The words that stay, one a line, or a lexicon.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Take all words out of a model but those of a list. What they lose goes to <unk>.

    Example: chainstitch lm limit big.arpa.gz --vocab data/lang/words.txt --out limited.arpa.gz
    """
    from chainstitch.utils.lm.arpa_file import KIND, read_model, write_model
    from chainstitch.utils.lm.limit import limit as limit_model
    from chainstitch.utils.lm.tokens import read_vocabulary
    from chainstitch.utils.outputs import check_file

    check_file(out, KIND, overwrite, [model, vocab])
    words = read_vocabulary(vocab)
    limited = read_model(model)
    before = _sizes(limited.counts)
    limit_model(limited, words)
    write_model(limited, out)
    print(f"{out}: {_sizes(limited.counts)}; before: {before}")


def perplexity(
    model: Model,
    text: Annotated[
        list[Path], typer.Argument(help="Sentences, one a line, plain or .gz; or data directories.")
    ],
) -> None:
    """Print the perplexity of a model on texts, and how many words it lacks.

    Example: chainstitch lm perplexity mix.arpa.gz dev.txt test.txt
    """
    from chainstitch.utils.lm.arpa_file import read_model
    from chainstitch.utils.lm.perplexity import perplexity as measure

    read = read_model(model)
    for one in text:
        print(f"{one}: {measure(read, one)}")


def _sizes(counts: list[int]) -> str:
    named = ", ".join(f"{count} {n}-grams" for n, count in enumerate(counts, start=1))
    return f"{sum(counts)} n-grams ({named})"


SUBCOMMANDS = {"train": train, "mix": mix, "prune": prune, "limit": limit, "perplexity": perplexity}
