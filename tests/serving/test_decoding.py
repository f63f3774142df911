"""Decoding in processes of their own: same films, and no film ends more than its own process."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import psutil
import pytest

from data.radiograph.made_films import data_set, dicom
from hilum.serving import decoding
from hilum.serving.decoding import Decoder, Pool, Spool
from hilum.serving.film import prepare
from hilum.serving.limits import MIB, Limits
from hilum.serving.rejection import Kind, Rejected
from serving_made import READING, STEPS, encoded, eventually, png


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(Limits(children=1))
    yield pool
    pool.close()


@pytest.fixture
def decoder(pool: Pool) -> Decoder:
    return Decoder(READING, STEPS, pool)


def rejected(decoder: Decoder, content: bytes) -> Rejected:
    with pytest.raises(Rejected) as no:
        decoder.decode(content)
    return no.value


@pytest.mark.parametrize("content", [png(), dicom(data_set())], ids=["PNG", "DICOM"])
def test_a_film_is_read_as_it_would_be_here(decoder: Decoder, content: bytes) -> None:
    found = decoder.decode(content, picture=True)
    expected = prepare(content, READING, STEPS, picture=True)
    np.testing.assert_array_equal(found.image_chw, expected.image_chw)
    assert (found.digest, found.facts, found.warnings, found.picture) == (
        expected.digest,
        expected.facts,
        expected.warnings,
        expected.picture,
    )
    assert decoder.decode(content).picture == b""


def test_a_film_may_wait_in_a_file(decoder: Decoder) -> None:
    content = png(1500)
    found = decoder.decode(Spool(BytesIO(content), len(content)))
    assert found.digest == decoder.decode(content).digest


def test_what_is_no_film_is_refused_and_its_process_goes_on(pool: Pool, decoder: Decoder) -> None:
    before = pool.pids
    for content in (b"nonsense", b"", png()[:200]):
        assert rejected(decoder, content).kind is Kind.UNREADABLE
    assert pool.pids == before


def test_a_film_that_is_too_long_is_not_even_sent() -> None:
    pool = Pool(Limits(children=1, film=1000))
    assert rejected(Decoder(READING, STEPS, pool), bytes(1001)).kind is Kind.TOO_LARGE
    pool.close()


def killed_at_work(pool: Pool) -> None:
    """End the one process when it is at work on a film."""
    (child,) = pool.pids
    os.kill(child, signal.SIGSTOP)  # it will be at work on the film for as long as we like
    eventually(lambda: pool._idle.empty())
    os.kill(child, signal.SIGKILL)
    eventually(lambda: pool.pids != (child,))


def test_a_film_whose_process_is_killed_once_is_answered_by_another(
    pool: Pool, decoder: Decoder
) -> None:
    content = png(1500)
    decoder.decode(png())
    with ThreadPoolExecutor(1) as threads:
        os.kill(pool.pids[0], signal.SIGSTOP)
        film = threads.submit(decoder.decode, Spool(BytesIO(content), len(content)))
        killed_at_work(pool)
        assert film.result(20).digest == decoder.decode(content).digest


def test_a_film_that_ends_two_processes_is_refused_and_costs_no_other(
    pool: Pool, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder.decode(png())
    asked = 0

    def ask(child: decoding._Child, *_: object) -> None:
        nonlocal asked
        asked += 1
        os.kill(child.process.pid, signal.SIGKILL)
        child._take(1)

    with monkeypatch.context() as patch:
        patch.setattr(decoding._Child, "ask", ask)
        no = rejected(decoder, png())
    assert (no.kind, asked) == (Kind.UNREADABLE, 2)
    assert no.detail == "film: it ended the process that decodes it"
    assert decoder.decode(png()).facts.rows == 64


def test_a_process_that_cannot_be_started_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool(Limits(children=1))
    decoder = Decoder(READING, STEPS, pool)
    decoder.decode(png())
    (child,) = pool.pids

    def none_left(*_: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "_Child", none_left)
        os.kill(child, signal.SIGKILL)
        eventually(lambda: psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
        for _ in range(2):
            no = rejected(decoder, png())
            assert (no.kind, no.retry_after_s) == (Kind.BUSY, 5)
            assert not pool.ready()
        pool._idle.get()  # nobody rests, and nobody is at work
        assert not pool.ready()
        pool._idle.put(next(iter(pool._children)))
    assert decoder.decode(png()).facts.rows == 64
    assert pool.ready(seconds=60)
    pool.close()


def test_a_film_that_nobody_wants_any_more_is_closed_by_its_reader(
    pool: Pool, decoder: Decoder
) -> None:
    content = png(1500)
    spool = Spool(BytesIO(content), len(content))
    before = pool.pids
    with spool.held():
        spool.close()
        assert decoder.decode(spool, until=time.monotonic() + 20).facts.rows == 1500
        assert not spool.file.closed
    assert spool.file.closed
    assert pool.pids == before
    with pytest.raises(Rejected), spool.held():
        pass


def test_a_process_that_died_at_rest_costs_no_film(pool: Pool, decoder: Decoder) -> None:
    decoder.decode(png())
    (child,) = pool.pids
    os.kill(child, signal.SIGKILL)
    eventually(lambda: psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    assert decoder.decode(png()).facts.rows == 64


def test_a_film_that_takes_too_long_is_refused_and_its_process_replaced() -> None:
    replaced = []
    pool = Pool(Limits(children=1, decode_time=0.3), replaced=lambda: replaced.append(1))
    decoder = Decoder(READING, STEPS, pool)
    decoder.decode(png())
    (child,) = pool.pids
    os.kill(child, signal.SIGSTOP)
    no = rejected(decoder, png())
    assert (no.kind, no.detail) == (Kind.UNREADABLE, "film: not decoded within 0.3 s")
    assert decoder.decode(png()).facts.rows == 64
    assert not psutil.pid_exists(child)
    assert replaced == [1]
    pool.close()


def test_memory_is_bounded_and_64_million_pixels_fit() -> None:
    large = encoded(np.zeros((8000, 8000), np.uint16))
    small_pool = Pool(Limits(children=1, child_memory=350 * MIB))
    decoder = Decoder(READING, STEPS, small_pool)
    assert rejected(decoder, large).kind is Kind.UNREADABLE
    assert decoder.decode(png()).facts.rows == 64
    small_pool.close()
    pool = Pool(Limits(children=1))
    assert Decoder(READING, STEPS, pool).decode(large, picture=True).facts.rows == 8000
    pool.close()


def test_the_process_has_nothing_that_it_does_not_need(
    decoder: Decoder, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_TOKEN", "not for the children")
    own = Pool(Limits(children=1))
    Decoder(READING, STEPS, own).decode(png())
    child = psutil.Process(own.pids[0])
    assert "HILUM_TOKEN" not in child.environ()
    limits = resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE
    assert [child.rlimit(limit)[0] for limit in limits] == [0, 0, 16]
    assert child.rlimit(resource.RLIMIT_AS)[0] == own.limits.child_memory
    loaded = " ".join(each.path for each in child.memory_maps())
    assert not any(name in loaded for name in ("openvino", "torch", "matplotlib"))
    own.close()
    assert not child.is_running()


def test_they_end_when_whoever_started_them_is_killed() -> None:
    code = """
import json, os, signal
from hilum.serving.decoding import Pool
from hilum.serving.limits import Limits
pool = Pool(Limits(children=2))
pool.ready(seconds=60)
print(json.dumps(pool.pids), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    eventually(lambda: not any(map(psutil.pid_exists, json.loads(done.stdout))))


def test_words_that_the_standard_does_not_know_are_not_told(decoder: Decoder) -> None:
    film = decoder.decode(
        dicom(data_set(BodyPartExamined="DOE JANE", ViewPosition="PA", PatientAge="093Y"))
    )
    assert (film.facts.body_part, film.facts.view, film.facts.age) == ("OTHER", "PA", 90.0)
    assert "JANE" not in " ".join(film.warnings)
    no = rejected(decoder, dicom(data_set(PhotometricInterpretation="DOE JANE")))
    assert "JANE" not in no.detail
    assert "OTHER" in no.detail


def test_nothing_is_decoded_once_it_is_closed() -> None:
    pool = Pool(Limits(children=1))
    try:
        assert pool.ready(seconds=60)
    finally:
        pool.close()
    assert rejected(Decoder(READING, STEPS, pool), png()).kind is Kind.BUSY
    assert not pool.ready()
