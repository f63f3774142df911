"""Train the predecessor's recipe on PneumoniaMNIST and write every epoch down as it ends.

python train.py --out DIR        in the environment of requirements.txt; HILUM_DATA is set

Weights are chosen by val alone, as the recipe has it. Test is looked at after each epoch to tell
when a figure was first reached; nothing is decided by it, and its time is in no clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from recipe import (
    TUNED_LAYERS,
    Split,
    freeze_norm,
    make_model,
    plain_batches,
    prepare,
    reachable_weights,
    split,
    training_batches,
)

PROBED_STEPS = 60
HEADER = "image_id,label_pneumonia,prob_pneumonia"


def auroc(label_n: np.ndarray, prob_n: np.ndarray) -> float:
    """Share of pairs in the right order, ties half: exact, where Keras' metric is binned."""
    difference = prob_n[label_n == 1][:, None] - prob_n[label_n == 0][None]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def figures(label_n: np.ndarray, prob_n: np.ndarray) -> dict[str, float]:
    p = np.clip(prob_n.astype(np.float64), 1e-7, 1 - 1e-7)
    return {
        "auroc": auroc(label_n, prob_n),
        "accuracy": float(np.mean((prob_n >= 0.5) == (label_n == 1))),
        "log_loss": float(-np.mean(label_n * np.log(p) + (1 - label_n) * np.log(1 - p))),
    }


def probabilities(model: keras.Model, films: Split) -> np.ndarray:
    return np.asarray(model.predict(plain_batches(films), verbose=0)).reshape(-1)


class Clock:
    """Wall and processor seconds of training, val included, test and writing left out."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0
        self.go()

    def go(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def halt(self) -> None:
        self.wall += time.perf_counter() - self._wall
        self.processor += time.process_time() - self._processor


class Diary(keras.callbacks.Callback):
    """A line of `epochs.jsonl` for each epoch; ends training when the time is up.

    That is before an epoch that would not end in time, going by the last one, and within an epoch
    where it has to be; `steps` tells.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        test: Split,
        ends: float,
        phase: str,
        norm: str,
        weights: str,
    ) -> None:
        super().__init__()
        self.file, self.clock, self.test, self.ends = folder / "epochs.jsonl", clock, test, ends
        self.phase, self.norm, self.weights, self.timed_out = phase, norm, weights, False
        self.epoch_began = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch_began = time.perf_counter()
        self.before, self.steps = (self.clock.wall, self.clock.processor), 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.steps += 1
        if time.perf_counter() > self.ends:
            self.model.stop_training = self.timed_out = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.clock.halt()
        of_test = figures(self.test.label_n, probabilities(self.model, self.test))
        line = {
            "phase": self.phase,
            "batch_norm": self.norm,
            "weights": self.weights,
            "epoch": epoch + 1,
            "steps": self.steps,
            **{key: float(value) for key, value in (logs or {}).items()},
            **{f"test_{key}": value for key, value in of_test.items()},
            "wall_s": self.clock.wall - self.before[0],
            "processor_s": self.clock.processor - self.before[1],
            "wall_s_so_far": self.clock.wall,
            "processor_s_so_far": self.clock.processor,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "load": os.getloadavg()[0],
        }
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        took = time.perf_counter() - self.epoch_began
        if time.perf_counter() + took > self.ends:
            self.model.stop_training = self.timed_out = True
        self.clock.go()


def base_rate_loss(label_n: np.ndarray) -> float:
    share = float(label_n.mean())
    return -(share * np.log(share) + (1 - share) * np.log(1 - share))


class NotLearning(keras.callbacks.Callback):
    """Ends training where the first steps tell nothing of the films' labels.

    That is a mean loss over them no better than what the base rate gives, and an AUC under 0.55.
    """

    def __init__(self, base_rate: float) -> None:
        super().__init__()
        self.base_rate: float | None = base_rate
        self.seen = False

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        assert logs is not None
        if self.base_rate is not None and batch + 1 == PROBED_STEPS:
            self.seen = logs["loss"] > self.base_rate and logs["auc"] < 0.55
            self.model.stop_training = self.model.stop_training or self.seen
            self.base_rate = None


class Run:
    """One training from beginning to end; `wanted` are the command's arguments."""

    def __init__(self, wanted: argparse.Namespace) -> None:
        self.wanted, self.folder = wanted, wanted.out
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "epochs.jsonl").unlink(missing_ok=True)
        self.train, self.val, self.test = split("train"), split("val"), split("test")
        if wanted.films:
            self.train = Split(*(each[: wanted.films] for each in self.train))
        self.ends = time.perf_counter() + 60 * wanted.limit_minutes
        self.said: list[str] = []

    def note(self, words: str) -> None:
        self.said.append(words)
        print(words, flush=True)

    def phase(self, model: keras.Model, name: str, norm: str, *extra: keras.callbacks.Callback,
              watched: str, mode: str, epochs: int) -> bool:  # fmt: skip
        """Fit; True where it ended by itself, False where the time was up."""
        diary = Diary(self.folder, self.clock, self.test, self.ends, name, norm, self.weights)
        model.fit(
            training_batches(self.train, self.wanted.seed),
            validation_data=plain_batches(self.val),
            epochs=epochs,
            verbose=0,
            callbacks=[
                diary,
                keras.callbacks.EarlyStopping(
                    watched, mode=mode, patience=3, restore_best_weights=True
                ),
                *extra,
            ],
        )
        return not diary.timed_out

    def first(self, weights: str | None, norm: str, watch: NotLearning | None) -> bool:
        """All but batch norm at 1e-3, by val loss."""
        self.clock, self.weights = Clock(), weights or "random"
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.wanted.seed)
        self.model, self.base = make_model(weights)
        if norm == "frozen":
            freeze_norm(self.base)
        prepare(self.model, self.base, rate=1e-3, last=None)
        self.clock.go()
        plateau = keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2)
        extra = [plateau, *([watch] if watch else [])]
        return self.phase(
            self.model, "whole", norm, *extra,
            watched="val_loss", mode="min", epochs=self.wanted.epochs,
        )  # fmt: skip

    def whole(self) -> None:
        weights, words = reachable_weights(self.wanted.weights)
        self.note(f"starts from {words}")
        norm = "trained" if self.wanted.batch_norm == "trained" else "frozen"
        may_change = self.wanted.batch_norm == "auto" and weights is None
        watch = NotLearning(base_rate_loss(self.train.label_n)) if may_change else None
        done = self.first(weights, norm, watch)
        if watch and watch.seen and time.perf_counter() < self.ends:
            self.note(
                "with batch norm frozen, as the recipe says, random weights did not learn in "
                f"{PROBED_STEPS} steps (loss no better than the base rate's, AUC under 0.55): "
                "begun again with batch norm trained, all clocks from 0"
            )
            norm = "trained"
            done = self.first(weights, norm, None)
        if done and self.wanted.tune_epochs:
            self.note(f"last {TUNED_LAYERS} layers at 1e-5, batch norm frozen, by val AUC")
            prepare(self.model, self.base, rate=1e-5, last=TUNED_LAYERS)
            done = self.phase(
                self.model, "last layers", "frozen",
                watched="val_auc", mode="max", epochs=self.wanted.tune_epochs,
            )  # fmt: skip
        if not done:
            self.note(f"ended by the limit of {self.wanted.limit_minutes:g} minutes")
        self.clock.halt()
        self.write(norm)

    def write(self, norm: str) -> None:
        prob_n = probabilities(self.model, self.test)
        rows = zip(self.test.label_n.astype(int), prob_n, strict=True)
        lines = [f"test-{k:04d},{label},{prob:.9g}" for k, (label, prob) in enumerate(rows)]
        (self.folder / "predictions.csv").write_text("\n".join([HEADER, *lines]))
        val = figures(self.val.label_n, probabilities(self.model, self.val))
        result = {
            "test": figures(self.test.label_n, prob_n),
            "val": val,
            "weights": self.weights,
            "batch_norm": norm,
            "notes": self.said,
            "train_wall_s": self.clock.wall,
            "train_processor_s": self.clock.processor,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "versions": f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
            f"Keras {keras.__version__}",
        }
        self.model.save(self.folder / "model.keras")
        (self.folder / "result.json").write_text(json.dumps(result, indent=1))
        print(json.dumps(result["test"]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", choices=("auto", "imagenet", "none"), default="auto")
    parser.add_argument("--batch-norm", choices=("auto", "frozen", "trained"), default="auto")
    parser.add_argument("--epochs", type=int, default=20, help="of the whole network, at most")
    parser.add_argument("--tune-epochs", type=int, default=20, help="of its last layers, at most")
    parser.add_argument("--limit-minutes", type=float, default=24 * 60)
    parser.add_argument("--films", type=int, help="only so many of train, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    Run(parser.parse_args()).whole()


if __name__ == "__main__":
    main()
