"""A trained model put to use: outputs for a decoder, alignments."""

from chainstitch.nnet.infer.outputs import (
    BATCH,
    Model,
    ScaledLikelihoods,
    check_features,
    feature_settings,
    iterate_log_likes,
    ivector_reader,
    load_extractor,
    load_model,
    log_likes,
    wav_inputs,
)

__all__ = [
    "BATCH", "Model", "ScaledLikelihoods", "check_features", "feature_settings",
    "iterate_log_likes", "ivector_reader", "load_extractor", "load_model", "log_likes",
    "wav_inputs",
]  # fmt: skip
