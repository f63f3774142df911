"""A bundle → what `/v1/bundle` tells of it. What a film is answered is left to `answering`."""

from __future__ import annotations

from typing import Any

from hilum.bundle import NOT_A_DEVICE, Bundle
from hilum.serving.answering import ages_of
from hilum.serving.limits import Limits


def describe(bundle: Bundle, engine: str, limits: Limits) -> dict[str, Any]:
    """Plain values. engine: that answers. Whether there is a report is the service's to say."""
    manifest = bundle.manifest
    policy = bundle.policy()
    ages, agreement = ages_of(bundle), manifest.engine.agreement
    return {
        "name": manifest.name,
        "digest": bundle.digest,
        "created": manifest.created,
        "schema_version": manifest.schema_version,
        "engine": {
            "name": engine,
            "input_size": manifest.engine.input_size,
            # None of anybody else's model: it came without what it was converted from.
            "agreement": None if agreement is None else agreement.model_dump(mode="json"),
        },
        "backbone": manifest.backbone.model_dump(mode="json"),
        "preprocessing": [step.model_dump(mode="json") for step in manifest.preprocessing],
        "reading": manifest.reading.model_dump(mode="json"),
        "findings": [_finding(bundle, finding) for finding in bundle.findings],
        "deployed": manifest.deployed,
        "policy": None if policy is None else policy.in_words(),
        "ages": None if ages is None else {"low": ages[0], "high": ages[1]},
        "ages_in_words": "The ages of the films it was trained on are not known."
        if ages is None
        else f"Trained on films of {ages[0]:.0f} to {ages[1]:.0f} years; 90 stands for all above.",
        "figures": manifest.figures,
        "training": {
            "source": manifest.source,
            "roles": {
                role: {name: told[name] for name in ("n", "n_by_label") if name in told}
                for role, told in manifest.roles.get("roles", {}).items()
            },
        },
        "synthetic": manifest.synthetic,
        "warnings": list(manifest.warnings),
        "licence": manifest.licence,
        "intended_use": manifest.intended_use,
        "versions": manifest.versions,
        "commit": manifest.commit,
        "limits": {"film_bytes": limits.film, "body_bytes": limits.body, "films": limits.films},
        "card": bundle.card() is not None,
        "notice": NOT_A_DEVICE,
    }


def _finding(bundle: Bundle, finding: str) -> dict[str, Any]:
    chosen = bundle.chosen_calibrator(finding)
    limits = bundle.conformal_limits(finding)
    return {
        "finding": finding,
        "meaning": bundle.manifest.meanings.get(finding),
        "calibrator": chosen.calibrator.to_dict()["kind"],
        "operating_points": [
            {**point.to_dict(), "deployed": name == bundle.manifest.deployed}
            for name, point in bundle.operating_points(finding).items()
        ],
        "conformal": None if limits is None else limits.to_dict(),
    }
