"""The predecessor's recipe in Keras: films to tensors, the network, which layers learn.

Training and its clocks are `train.py`'s. Written afresh from a description of the recipe.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

SIDE = 224
BATCH = 32
TUNED_LAYERS = 20


class Split(NamedTuple):
    """image_nhw: uint8, 28 x 28; label_n: float32, 1 = pneumonia."""

    image_nhw: np.ndarray
    label_n: np.ndarray


def split(name: str) -> Split:
    """`train`, `val` or `test` of PneumoniaMNIST, from the folder HILUM_DATA."""
    folder = os.environ.get("HILUM_DATA")
    if folder is None:
        raise SystemExit("HILUM_DATA is not set; name the folder that holds pneumoniamnist.npz")
    with np.load(Path(folder) / "pneumoniamnist.npz") as arrays:
        label_n = arrays[f"{name}_labels"].reshape(-1).astype(np.float32)
        return Split(arrays[f"{name}_images"], label_n)


def _enlarged(image_hw: tf.Tensor) -> tf.Tensor:
    """[h,w] uint8 -> [224,224,1] in [0,1], bilinear."""
    image_hwc = tf.cast(image_hw, tf.float32)[..., None] / 255.0
    return tf.image.resize(image_hwc, (SIDE, SIDE), method="bilinear")


def _as_input(image_hwc: tf.Tensor) -> tf.Tensor:
    """Three equal channels in 0 to 255, which is what Keras' EfficientNet takes."""
    return tf.image.grayscale_to_rgb(tf.clip_by_value(image_hwc, 0.0, 1.0) * 255.0)


def training_batches(films: Split, seed: int) -> tf.data.Dataset:
    """Shuffled each epoch; brightness +-0.05 of the full range, contrast 0.9 to 1.1."""

    def film(image_hw: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image_hwc = tf.image.random_brightness(_enlarged(image_hw), 0.05)
        image_hwc = tf.image.random_contrast(image_hwc, 0.9, 1.1)
        return _as_input(image_hwc), label

    data = tf.data.Dataset.from_tensor_slices(tuple(films))
    data = data.shuffle(len(films.label_n), seed=seed)
    return data.map(film, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2)


def plain_batches(films: Split) -> tf.data.Dataset:
    def film(image_hw: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _as_input(_enlarged(image_hw)), label

    data = tf.data.Dataset.from_tensor_slices(tuple(films))
    return data.map(film, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(2)


def reachable_weights(wanted: str) -> tuple[str | None, str]:
    """What EfficientNetB0 starts from, and that in words.

    wanted: `auto` takes ImageNet where Keras can download it, else random numbers;
        `imagenet` and `none` insist
    """
    if wanted == "none":
        return None, "random weights, as asked"
    socket.setdefaulttimeout(30)
    try:
        keras.applications.EfficientNetB0(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if wanted == "imagenet" or "URL fetch failure" not in str(error):
            raise
        return None, "random weights: Keras' download of ImageNet weights could not be reached"
    return "imagenet", "ImageNet weights of Keras"


def make_model(weights: str | None) -> tuple[keras.Model, keras.Model]:
    """The whole network and the EfficientNetB0 in it."""
    base = keras.applications.EfficientNetB0(
        include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3)
    )
    out = keras.layers.GlobalAveragePooling2D()(base.output)
    out = keras.layers.Dense(256, activation="relu")(out)
    out = keras.layers.Dropout(0.3)(out)
    out = keras.layers.Dense(128, activation="relu")(out)
    out = keras.layers.Dense(1, activation="sigmoid")(out)
    return keras.Model(base.input, out), base


def prepare(model: keras.Model, base: keras.Model, *, rate: float, last: int | None) -> None:
    """Freeze and compile.

    last: only so many of the base's last layers learn, None = all. Batch norm is set by
        `freeze_norm`, before this, and stays frozen where only the last layers learn
    """
    if last is not None:
        for layer in base.layers[:-last]:
            layer.trainable = False
        freeze_norm(base)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="binary_crossentropy",
        metrics=["accuracy", keras.metrics.AUC(name="auc")],
    )


def freeze_norm(base: keras.Model) -> None:
    """Statistics, scale and shift stay as they are, and statistics are not taken of a batch."""
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
