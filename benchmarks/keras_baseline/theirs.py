"""The predecessor's recipe at work, for `compare.py` to time: films trained on, or predicted.

python theirs.py train --films 160      in the environment of requirements.txt; HILUM_DATA is set
python theirs.py predict --films 624

Weights are random: they cost no less. Batch norm is frozen, as the recipe says, unless it is asked
to be trained. What training makes of them is `train.py`'s.
"""

from __future__ import annotations

import argparse
import math

import keras
import numpy as np
import tensorflow as tf
from recipe import Split, freeze_norm, make_model, plain_batches, prepare, split, training_batches
from waiting import serve

VERSIONS = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"


def first(films: Split, n: int) -> Split:
    return Split(*(each[:n] for each in films))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "predict"))
    parser.add_argument("--films", type=int, required=True)
    parser.add_argument("--batch-norm", choices=("frozen", "trained"), default="frozen")
    parser.add_argument("--busy", action="store_true", help="one thread")
    wanted = parser.parse_args()
    if wanted.busy:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model, base = make_model(None)
    if wanted.task == "predict":
        films = first(split("test"), wanted.films)
        # Arrays to probabilities: the batches are made anew each time, as ours are.
        serve(
            lambda: len(np.asarray(model.predict(plain_batches(films), verbose=0))),
            versions=VERSIONS,
        )
        return
    train, val = split("train"), split("val")
    share = wanted.films / len(train.label_n)
    films, looked_at = first(train, wanted.films), first(val, math.ceil(share * len(val.label_n)))
    if wanted.batch_norm == "frozen":
        freeze_norm(base)
    prepare(model, base, rate=1e-3, last=None)

    def epoch() -> int:
        model.fit(training_batches(films, 0), validation_data=plain_batches(looked_at), verbose=0)
        return len(films.label_n)

    serve(epoch, versions=VERSIONS, epoch_films=len(train.label_n))


if __name__ == "__main__":
    main()
