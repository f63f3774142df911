"""The files under `deploy/`: well formed, and doing what they say, as far as no cluster is needed.

No Kubernetes is asked: the manifest is held against the fields of `kubeflow.org/v1` that are
written down here, from the operator's own resource definition.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from hilum.cli.app import app
from hilum.recipe import make_recipe

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SBATCH = DEPLOY / "slurm" / "train.sbatch"
SHELL = ("prune-image", "prune-base", "bill-of-materials", "install-train")
SCRIPTS = [SBATCH, *(DEPLOY / name for name in SHELL)]
CHECK = ROOT / "scripts" / "check-container"
# What an engine says of an image that keeps every promise.
IMAGE = {
    "Id": "sha256:0123456789abcdef",
    "Size": 500_000_000,
    "Config": {"Labels": {f"org.opencontainers.image.{key}": "told" for key in (
        "title", "description", "licenses", "source")}},
}  # fmt: skip
HELD = {
    "programs": [], "modules": [], "raised": [], "uid": 1000, "packages": 40, "differ": [],
    "serial": None, "format": "CycloneDX 1.6",
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_accepted_by_their_shell_and_by_shellcheck(script: Path) -> None:
    shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", script], check=True)
    # Installed beside this Python, as hadolint is.
    found = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", f"--shell={shell}", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


class Cluster:
    """Stands in for SLURM: `srun` notes what it was given and does as it is told."""

    def __init__(self, folder: Path, srun: str) -> None:
        self.folder = folder
        tools = folder / "tools"
        tools.mkdir()
        self.said = folder / "said.txt"
        for name, body in {
            "srun": f'echo "srun $*" >> "{self.said}"\n{srun}',
            "scontrol": f'[ "$1" = show ] && echo node1 && echo node2; echo "scontrol $*" >> '
            f'"{self.said}"; true',
        }.items():
            path = tools / name
            path.write_text(f"#!/bin/bash\n{body}\n")
            path.chmod(0o755)
        self.env = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "17",
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_NNODES": "2",
            "SLURM_GPUS_ON_NODE": "8",
        }

    def submit(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr.txt").open("wb") as errors:
            return subprocess.Popen(
                ["bash", SBATCH, *map(str, arguments)], env=self.env, stderr=errors
            )

    def launches(self) -> str:
        (line,) = [each for each in self.said.read_text().splitlines() if each.startswith("srun")]
        return line


def test_the_job_starts_one_torchrun_a_host_and_hands_on_what_it_was_given(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, srun="exit 0")
    job = cluster.submit("my.toml", tmp_path / "chest", "--set", "train.epochs=3")
    assert job.wait(20) == 0
    assert cluster.launches() == (
        "srun torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 --rdzv-backend c10d "
        "--rdzv-endpoint node1:29500 --rdzv-id 17.0 "
        f"-m hilum train my.toml --out {tmp_path}/chest --set train.epochs=3"
    )


def test_a_job_with_a_checkpoint_goes_on_from_it(tmp_path: Path) -> None:
    (tmp_path / ".chest.run").mkdir()
    (tmp_path / ".chest.run" / "checkpoint-000000007.safetensors").touch()
    cluster = Cluster(tmp_path, srun="exit 0")
    assert cluster.submit("my.toml", tmp_path / "chest").wait(20) == 0
    assert cluster.launches().endswith(f"--out {tmp_path}/chest --resume")


def test_a_job_that_fails_says_so_and_is_not_queued_again(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, srun="exit 3")
    assert cluster.submit("my.toml", tmp_path / "chest").wait(20) == 3
    assert "requeue" not in cluster.said.read_text()


def test_a_job_whose_time_is_up_lets_the_run_save_and_queues_itself_again(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    wait = f'trap \'sleep 0.3; touch "{saved}"; exit 1\' TERM; touch "{tmp_path}/up"\n'
    cluster = Cluster(tmp_path, srun=wait + "while :; do sleep 0.05; done")
    job = cluster.submit("my.toml", tmp_path / "chest")
    deadline = time.monotonic() + 20
    while not (tmp_path / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 0
    assert saved.exists()  # the shell waited for the run, not for the signal alone
    assert cluster.said.read_text().splitlines()[-1] == "scontrol requeue 17"


def test_a_job_without_a_recipe_says_how_it_is_used(tmp_path: Path) -> None:
    assert Cluster(tmp_path, srun="exit 0").submit().wait(20) != 0
    said = (tmp_path / "stderr.txt").read_text()
    assert "usage: sbatch train.sbatch RECIPE BUNDLE" in said


# Fields of kubeflow.org/v1 PyTorchJob (training operator 1.9); a set names the values allowed.
REPLICA = {
    "replicas": int,
    "restartPolicy": {"Always", "OnFailure", "Never", "ExitCode"},
    "template": dict,
}
PYTORCHJOB: dict[str, Any] = {
    "apiVersion": {"kubeflow.org/v1"},
    "kind": {"PyTorchJob"},
    "metadata": dict,
    "spec": {
        "nprocPerNode": str,
        "elasticPolicy": {
            "maxReplicas": int,
            "maxRestarts": int,
            "metrics": list,
            "minReplicas": int,
            "rdzvBackend": {"c10d", "etcd", "etcd-v2"},
            "rdzvConf": list,
            "rdzvHost": str,
            "rdzvId": str,
            "rdzvPort": int,
            "standalone": bool,
        },
        "runPolicy": {
            "activeDeadlineSeconds": int,
            "backoffLimit": int,
            "cleanPodPolicy": {"None", "Running", "All"},
            "managedBy": str,
            "schedulingPolicy": dict,
            "suspend": bool,
            "ttlSecondsAfterFinished": int,
        },
        "pytorchReplicaSpecs": {"Master": REPLICA, "Worker": REPLICA},
    },
}


def complaints(value: Any, schema: Any, where: str = "") -> list[str]:
    """Unknown fields and values of another kind, each in a line."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where} is no table"]
        lines = [f"{where}.{key} is not known" for key in value if key not in schema]
        known = {key: each for key, each in value.items() if key in schema}
        return lines + [
            line for key, each in known.items() for line in complaints(each, schema[key], key)
        ]
    if isinstance(schema, set):
        return [] if value in schema else [f"{where} = {value!r}"]
    return [] if isinstance(value, schema) else [f"{where} = {value!r}"]


def test_the_manifest_check_finds_what_is_wrong() -> None:
    bad = {"apiVersion": "kubeflow.org/v2", "spec": {"elasticPolicy": {"minReplica": 1}}}
    assert complaints(bad, PYTORCHJOB) == [
        "apiVersion = 'kubeflow.org/v2'",
        "elasticPolicy.minReplica is not known",
    ]


@pytest.fixture
def manifests() -> dict[str, dict[str, Any]]:
    text = (DEPLOY / "kubernetes" / "pytorchjob.yaml").read_text()
    found = list(yaml.safe_load_all(text))
    assert all({"apiVersion", "kind", "metadata"} <= set(each) for each in found)
    return {each["kind"]: each for each in found}


def test_the_pytorchjob_has_the_fields_of_its_kind(manifests: dict[str, dict[str, Any]]) -> None:
    job = manifests["PyTorchJob"]
    assert complaints(job, PYTORCHJOB) == []
    worker = job["spec"]["pytorchReplicaSpecs"]["Worker"]
    elastic = job["spec"]["elasticPolicy"]
    assert elastic["minReplicas"] <= worker["replicas"] <= elastic["maxReplicas"]


def test_what_the_pods_mount_and_read_is_there(manifests: dict[str, dict[str, Any]]) -> None:
    pod = manifests["PyTorchJob"]["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["name"] == "pytorch"
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert {each["name"] for each in container["volumeMounts"]} == set(volumes)
    claim = manifests["PersistentVolumeClaim"]
    assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    recipes = manifests["ConfigMap"]
    assert volumes["recipe"]["configMap"]["name"] == recipes["metadata"]["name"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert mounts["shm"] == "/dev/shm"
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    (name,) = recipes["data"]
    assert f"{mounts['recipe']}/{name}" in container["args"][0]
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--nproc-per-node={gpus} " in container["args"][0]


def test_the_manifests_recipe_is_one(manifests: dict[str, dict[str, Any]]) -> None:
    recipe = make_recipe(tomllib.loads(manifests["ConfigMap"]["data"]["recipe.toml"]))
    assert recipe.train.accelerator == "cuda"


def test_the_pods_command_goes_on_from_a_checkpoint(
    manifests: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    pod = manifests["PyTorchJob"]["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]
    (container,) = pod["containers"]
    script = container["args"][0].replace("/models", str(tmp_path))
    script = script.replace("exec torchrun", "echo torchrun")

    def command() -> str:
        done = subprocess.run(
            [*container["command"], script], capture_output=True, text=True, check=True
        )
        return re.sub(r"\s+", " ", done.stdout).strip()

    expected = (
        f"torchrun --nproc-per-node=8 -m hilum train /recipe/recipe.toml --out {tmp_path}/chest"
    )
    assert command() == expected
    (tmp_path / ".chest.run").mkdir()
    (tmp_path / ".chest.run" / "checkpoint-000000007.safetensors").touch()
    assert command() == f"{expected} --resume"


def tool(name: str) -> str:
    """A program beside this Python or on the path; without it the test is skipped."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def test_the_dockerfile_is_accepted_by_hadolint() -> None:
    found = subprocess.run(
        [tool("hadolint"), ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


def test_what_the_dockerfile_copies_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    text = (ROOT / "Dockerfile").read_text()
    copied = {
        word.rstrip("/")
        for words in re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", text)
        for word in words.split()
    }
    assert copied == let_in
    assert all((ROOT / each).exists() for each in copied)


def test_the_part_of_the_lock_that_a_tool_needs_is_whole() -> None:
    part = subprocess.run(
        [sys.executable, DEPLOY / "locked", ROOT / "requirements.lock", "hatchling"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = set(re.findall(r"(?m)^([a-z0-9-]+)==", part))
    needed = {re.split(r"[^a-z0-9-]", each)[0] for each in requires("hatchling") or ()}
    assert needed - {"tomli"} <= names  # tomli: for Python 3.10
    assert part.count("--hash=sha256:") >= 2 * len(names)
    assert "torch" not in names


def test_a_tool_that_is_not_in_the_lock_is_named() -> None:
    done = subprocess.run(
        [sys.executable, DEPLOY / "locked", ROOT / "requirements.lock", "nosuchtool"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not in the lock: nosuchtool" in done.stderr


def test_the_check_of_the_images_is_well_formed(tmp_path: Path) -> None:
    script = tmp_path / "check_container.py"
    script.write_text(CHECK.read_text())
    done = subprocess.run(
        [tool("ruff"), "check", "--config", ROOT / "pyproject.toml", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


ENGINE = """#!{python}
import json, sys
from pathlib import Path

here, words = Path(__file__).parent, sys.argv[1:]
if words[0] == "build":
    (here / "built.json").write_text(json.dumps(words))
elif words[:2] == ["image", "inspect"]:
    image = json.loads((here / "image.json").read_text())
    for word in json.loads((here / "built.json").read_text()):
        key, _, value = word.partition("=")
        image["Config"]["Labels"]["org.opencontainers.image." + key.lower()] = value
    print(json.dumps([image]))
elif words[0] == "run" and "-c" in words:
    print((here / "held.json").read_text())
elif words[0] == "run":
    print("hilum: models: no bundle here", file=sys.stderr)
    sys.exit(2)
"""


def checked(folder: Path, image: dict[str, Any], held: dict[str, Any]) -> tuple[int, str]:
    """Exit code and table of the check, where an engine that only says so has built an image."""
    (folder / "image.json").write_text(json.dumps(IMAGE | image))
    (folder / "held.json").write_text(json.dumps(HELD | held))
    engine = folder / "docker"
    engine.write_text(ENGINE.format(python=sys.executable))
    engine.chmod(0o755)
    path = os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, CHECK, "--engine", "docker", "--target", "default", "--build-arg", "A=1"],
        env=os.environ | {"PATH": f"{folder}:{path}", "CONTAINER_BUILD_OPTIONS": "-q"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("image", "held", "broken"),
    [
        ({}, {}, []),
        ({"Size": 601_000_000}, {}, ["size as built, MB"]),
        ({}, {"programs": ["gcc"]}, ["no compiler, pip, torch, setuid"]),
        ({}, {"modules": ["torch"]}, ["no compiler, pip, torch, setuid"]),
        ({}, {"uid": 0}, ["its own user"]),
        ({}, {"serial": "urn:uuid:1"}, ["bill of materials"]),
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, {}, ["health check"]),
    ],
)
def test_an_image_that_breaks_a_promise_fails_the_check(
    tmp_path: Path, image: dict[str, Any], held: dict[str, Any], broken: list[str]
) -> None:
    code, said = checked(tmp_path, image, held)
    failed = [re.split(r" {2,}", line)[2] for line in said.splitlines() if line[:6] == "FAILED"]
    assert (failed, code) == (broken, int(bool(broken))), said


def test_what_a_place_asks_for_reaches_the_build(tmp_path: Path) -> None:
    checked(tmp_path, {}, {})
    words = json.loads((tmp_path / "built.json").read_text())
    assert words[:4] == ["build", "--target", "default", "-t"]
    assert {"--build-arg=A=1", "-q"} <= set(words)


@pytest.fixture
def compose() -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return made


def test_the_service_of_compose_is_a_command_that_hilum_knows(compose: dict[str, Any]) -> None:
    verb, *words = shlex.split(compose["services"]["hilum"]["command"])[1:]
    root = typer.main.get_command(app)
    context = root.make_context("hilum", [verb])
    command = root.get_command(context, verb)  # type: ignore[attr-defined]
    told = command.make_context(verb, words, parent=context).params
    networks = compose["networks"]["hospital"]["ipam"]["config"]
    assert told["dicom_peer"] == [each["subnet"] for each in networks]
    orthanc = json.loads((DEPLOY / "compose" / "orthanc.json").read_text())
    assert told["dicom_to"] == f"dicom://{orthanc['DicomAet']}@orthanc:{orthanc['DicomPort']}"
    assert told["dicom_caller"] == [orthanc["DicomAet"]]
    there = orthanc["DicomModalities"]["hilum"]
    assert (there["AET"], there["Host"], there["Port"]) == ("HILUM", "hilum", told["dicom"])
    prometheus = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"hilum:{told['port']}"]}]
    assert job["authorization"]["credentials_file"] == str(told["token_file"])


def test_compose_mounts_what_is_there_publishes_to_this_machine_and_holds_no_secret(
    compose: dict[str, Any],
) -> None:
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./deploy"):
                assert (ROOT / source).is_file()
            elif not source.startswith("./"):
                assert source in compose["volumes"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert compose["secrets"]["token"]["file"].startswith("${HILUM_TOKEN_FILE")
    hilum = compose["services"]["hilum"]
    assert (hilum["read_only"], hilum["cap_drop"]) == (True, ["ALL"])


def test_prometheus_accepts_its_file(tmp_path: Path) -> None:
    told = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text())
    token = tmp_path / "token"
    token.write_text("secret")
    told["scrape_configs"][0]["authorization"]["credentials_file"] = str(token)
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(told))
    subprocess.run([tool("promtool"), "check", "config", tmp_path / "prometheus.yml"], check=True)
