"""What fingerprints cost, and how far they tell films apart.

python fingerprints.py films     films a minute, from real files (HILUM_DATA)
python fingerprints.py search    all pairs of 100,000 and 1,000,000 made hashes
python fingerprints.py roles     roles of 112,120 and 1,000,000 rows; the record of seen films
python fingerprints.py limit     distances of altered copies and of different films (HILUM_DATA)
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hilum.data.cohort import Cohort
from hilum.data.fingerprints import NEAR, Fingerprints, fingerprints, near_pairs, perceptual_hash
from hilum.data.grey import as_float
from hilum.data.pixels import ArrayPixels
from hilum.data.roles import assign_roles
from hilum.data.seen import Seen
from hilum.data.sources.films import films

Grey = NDArray[np.float32]
Alteration = Callable[[Grey], Grey]
BITS = 256


def data() -> Path:
    return Path(os.environ["HILUM_DATA"])


def sets() -> dict[str, Cohort]:
    folders = {
        "kermany_224, JPEG 224²": "kermany_224/images",
        "nih_sample, PNG 64²": "nih_sample/images",
        "rsna_sample, DICOM 1024²": "rsna_sample/stage_2_train_images",
        "hannover_sample, PNG": "hannover_sample/images",
    }
    return {name: films([data() / folder], ["x"]) for name, folder in folders.items()}


# ---- films


def rates() -> None:
    print(f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}\n")
    print("| films | n | films a minute | processor, ms a film | of it reading | from the cache |")
    print("|---|---|---|---|---|---|")
    for name, cohort in sets().items():

        def read_all(cohort: Cohort = cohort) -> None:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for _ in pool.map(cohort.radiograph, range(len(cohort))):
                    pass

        bare, fresh, cached = [], [], []
        for _ in range(3):  # taken in turn, so that a busy moment strikes all alike
            bare.append(seconds(read_all))
            with tempfile.TemporaryDirectory() as folder:
                os.environ["XDG_CACHE_HOME"] = folder
                fresh.append(seconds(lambda cohort=cohort: fingerprints(cohort)))
                cached.append(seconds(lambda cohort=cohort: fingerprints(cohort)))
        n = len(cohort)
        (wall, worked), (_, reading), (again, _) = map(least, (fresh, bare, cached))
        print(
            f"| {name} | {n:,} | {60 * n / wall:,.0f} | {1000 * worked / n:.1f} | "
            f"{reading / worked:.0%} | {60 * n / again:,.0f} |"
        )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """On the wall, and of all processors, which others' work lengthens less."""
    wall, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - worked


def least(times: list[tuple[float, float]]) -> tuple[float, float]:
    wall, worked = zip(*times, strict=True)
    return min(wall), min(worked)


# ---- search


def made(n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Hashes whose bits are set as often as those of Kermany's films are."""
    share_b = np.unpackbits(fingerprints(sets()["kermany_224, JPEG 224²"]).hash_nk, axis=1).mean(0)
    blocks = np.array_split(np.arange(n), max(1, n // 50_000))
    return np.concatenate(
        [np.packbits(rng.random((len(block), BITS)) < share_b, axis=1) for block in blocks]
    )


def prints_of(hash_nk: NDArray[np.uint8]) -> Fingerprints:
    n = len(hash_nk)
    digest_n = np.array([f"{i:064x}" for i in range(n)], dtype=object)
    return Fingerprints(digest_n, hash_nk, np.ones(n, dtype=bool), {})


def search() -> None:
    print(f"{os.cpu_count()} cores, load before the start {os.getloadavg()[0]:.1f}\n")
    print(
        "| hashes | pairs | s | processor, s | planted pairs found | other pairs | memory added |"
    )
    print("|---|---|---|---|---|---|---|")
    for n in (100_000, 1_000_000):
        rng = np.random.default_rng(0)
        hash_nk = made(n, rng)
        one, other = rng.permutation(n)[:2000].reshape(2, 1000)
        for i, j in zip(one, other, strict=True):
            bit_b = np.unpackbits(hash_nk[i])
            bit_b[rng.choice(BITS, rng.integers(0, NEAR + 1), replace=False)] ^= 1
            hash_nk[j] = np.packbits(bit_b)
        prints = prints_of(hash_nk)
        before = memory_gb()
        start, worked = time.perf_counter(), time.process_time()
        found = near_pairs(prints)
        took, worked = time.perf_counter() - start, time.process_time() - worked
        planted = {
            (min(pair), max(pair)) for pair in zip(one.tolist(), other.tolist(), strict=True)
        }
        hits = len(planted & set(map(tuple, found.tolist())))
        print(
            f"| {n:,} | {n * (n - 1) / 2:.2g} | {took:.1f} | {worked:.1f} | "
            f"{hits} of {len(planted)} | {len(found) - hits} | {memory_gb() - before:.2f} GB |"
        )


def memory_gb() -> float:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


# ---- roles


def roles() -> None:
    print("| rows | table and fingerprints | roles, s | processor, s | memory, most | seen: MB |")
    print("|---|---|---|---|---|---|")
    for n in (112_120, 1_000_000):
        rng = np.random.default_rng(0)
        table = pd.DataFrame(
            {
                "image_id": [f"{i:08d}_000.png" for i in range(n)],
                "patient_id": rng.integers(0, n // 4, n).astype(str),
                "split": None,
                "role": None,
                "site": None,
                "view": "PA",
                "age": 50.0,
                "sex": "F",
            }
        )
        for f in range(14):
            table[f"label_f{f}"] = (rng.random(n) < 0.01 * (f + 1)).astype(float)
        findings = tuple(f"F{f}" for f in range(14))
        cohort = Cohort("made", findings, table, ArrayPixels(np.zeros((0, 64, 64), np.uint8)))
        prints = prints_of(rng.integers(0, 256, (n, 32), dtype=np.uint8))
        held = memory_gb()
        start, worked = time.perf_counter(), time.process_time()
        assigned, _ = assign_roles(cohort, prints=prints)
        took, worked = time.perf_counter() - start, time.process_time() - worked
        most = memory_gb()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "seen.parquet"
            Seen.of(assigned, prints, "salt").write(path)
            size = path.stat().st_size / 1e6
        print(f"| {n:,} | {held:.2f} GB | {took:.1f} | {worked:.1f} | {most:.2f} GB | {size:.1f} |")


# ---- limit


def jpeg(quality: int) -> Alteration:
    def alter(image_hw: Grey) -> Grey:
        file = io.BytesIO()
        Image.fromarray(np.rint(image_hw * 255).astype(np.uint8)).save(
            file, "JPEG", quality=quality
        )
        return np.asarray(Image.open(file)).astype(np.float32) / 255

    return alter


def resized(share: float) -> Alteration:
    def alter(image_hw: Grey) -> Grey:
        height, width = (round(share * side) for side in image_hw.shape)
        small = Image.fromarray(image_hw).resize((width, height), Image.Resampling.BICUBIC)
        return np.clip(np.asarray(small), 0, 1)

    return alter


def window(low: float, high: float) -> Alteration:
    return lambda image_hw: np.clip((image_hw - low) / (high - low), 0, 1).astype(np.float32)


def gamma(power: float) -> Alteration:
    return lambda image_hw: image_hw ** np.float32(power)


def noise(deviation: float) -> Alteration:
    def alter(image_hw: Grey) -> Grey:
        grain = np.random.default_rng(0).normal(0, deviation, image_hw.shape)
        return np.clip(image_hw + grain, 0, 1).astype(np.float32)

    return alter


def cropped(share: float) -> Alteration:
    def alter(image_hw: Grey) -> Grey:
        top, left = (round(share * side) for side in image_hw.shape)
        return image_hw[top : len(image_hw) - top, left : image_hw.shape[1] - left]

    return alter


ALTERATIONS: dict[str, Alteration] = {
    "JPEG, quality 95": jpeg(95),
    "JPEG, quality 75": jpeg(75),
    "JPEG, quality 50": jpeg(50),
    "half the size": resized(0.5),
    "a quarter of the size": resized(0.25),
    "half the size, JPEG 75": lambda image_hw: jpeg(75)(resized(0.5)(image_hw)),
    "a sixteenth of the grey values": lambda image_hw: np.rint(image_hw * 4095) / np.float32(65535),
    "window 5 to 95 %": window(0.05, 0.95),
    "window 10 to 90 %": window(0.1, 0.9),
    "window 20 to 80 %": window(0.2, 0.8),
    "gamma 0.7": gamma(0.7),
    "gamma 1.5": gamma(1.5),
    "noise of 2 %": noise(0.02),
    "noise of 5 %": noise(0.05),
    "1 % cut off each side": cropped(0.01),
    "2 % cut off each side": cropped(0.02),
    "3 % cut off each side": cropped(0.03),
}


def limit() -> None:
    os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp())
    cohorts = sets()
    names = list(cohorts)
    print(f"Bits that an altered copy differs in: median / 99 % / most, and share within {NEAR}\n")
    print("| alteration |" + "".join(f" {name} |" for name in names))
    print("|---" * (len(names) + 1) + "|")
    every = {name: range(0, len(c), max(1, len(c) // 400)) for name, c in cohorts.items()}
    for title, alter in ALTERATIONS.items():
        cells = [cell(cohorts[name], every[name], alter) for name in names]
        print(f"| {title} |" + "".join(f" {each} |" for each in cells))
    owners = {name: patients(name, cohort) for name, cohort in cohorts.items()}
    print("\nBits that two different films differ in; those with equal pixels are left out\n")
    print("| set | whose films | pairs | least | within 24 | 32 | 40 | 48 | 56 | median |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, cohort in cohorts.items():
        prints = fingerprints(cohort)
        for whose, count_d in distances(prints, owners[name]).items():
            if count_d.sum():
                print(f"| {name} | {whose} | {line(count_d)}")
    rsna, nih = fingerprints(cohorts[names[2]]), fingerprints(cohorts[names[1]])
    bits = np.bitwise_count(rsna.hash_nk[:, None] ^ nih.hash_nk).sum(axis=2)
    print(f"\nrsna_sample x nih_sample, {bits.size:,} pairs, the least: {np.sort(bits, None)[:6]}")


def cell(cohort: Cohort, rows: range, alter: Alteration) -> str:
    def differing(row: int) -> int | None:
        stored_hw = cohort.pixels.read(row)
        one, other = perceptual_hash(stored_hw), perceptual_hash(alter(as_float(stored_hw)))
        return None if one is None or other is None else int(np.bitwise_count(one ^ other).sum())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [each for each in pool.map(differing, rows) if each is not None]
    if not found:
        return "too small"
    share = 100 * np.mean([each <= NEAR for each in found])
    return f"{np.median(found):.0f} / {np.quantile(found, 0.99):.0f} / {max(found)}, {share:.0f} %"


def patients(name: str, cohort: Cohort) -> NDArray[np.object_]:
    file_n = cohort.table["image_id"].map(lambda path: Path(path).name)
    match name.split("_")[0]:
        case "nih":
            return file_n.str[:8].to_numpy(dtype=object)
        case "kermany":
            labels = pd.read_csv(data() / "kermany_224/labels.csv")
            owner = labels.set_index(labels["path"].map(lambda path: Path(path).name))["patient_id"]
            return file_n.map(owner).to_numpy(dtype=object)
        case "rsna":
            mapping = pd.read_csv(data() / "rsna_sample/nih_mapping.csv")
            owner = mapping.set_index(mapping["rsna_patient_id"] + ".dcm")["nih_patient_id"]
            return file_n.map(owner).astype(str).to_numpy(dtype=object)
        case _:
            labels = pd.read_csv(data() / "hannover_sample/labels.csv")
            owner = labels.set_index(labels["path"].map(lambda path: Path(path).name))["patient_id"]
            return file_n.map(owner).astype(str).to_numpy(dtype=object)


def distances(prints: Fingerprints, patient_n: NDArray[np.object_]) -> dict[str, NDArray[np.int64]]:
    """How many pairs differ in 0, 1, ... 256 bits."""
    word_nw = prints.hash_nk.view(np.uint64)
    found = {whose: np.zeros(BITS + 1, dtype=np.int64) for whose in ("one patient", "two patients")}
    for row, of_rest in each_with_the_rest(len(word_nw)):
        bits = np.bitwise_count(word_nw[row] ^ word_nw[of_rest]).sum(axis=1)
        other = prints.digest_n[of_rest] != prints.digest_n[row]
        same = patient_n[of_rest] == patient_n[row]
        found["one patient"] += np.bincount(bits[same & other], minlength=BITS + 1)
        found["two patients"] += np.bincount(bits[~same & other], minlength=BITS + 1)
    return found


def each_with_the_rest(n: int) -> Iterator[tuple[int, slice]]:
    return ((row, slice(row + 1, n)) for row in range(n - 1))


def line(count_d: NDArray[np.int64]) -> str:
    upto_d = np.cumsum(count_d)
    figures = [
        f"{upto_d[-1]:,}",
        int(np.argmax(count_d > 0)),
        *(f"{upto_d[bits]:,}" for bits in (24, 32, 40, 48, 56)),
        int(np.searchsorted(upto_d, upto_d[-1] / 2)),
    ]
    return " | ".join(map(str, figures)) + " |"


def main() -> None:
    parts = {"films": rates, "search": search, "roles": roles, "limit": limit}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=parts)
    parts[parser.parse_args().part]()


if __name__ == "__main__":
    main()
