import subprocess
import sys

SCRIPT = """
import sys
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
assert "sympy" not in sys.modules and "torch._dynamo" not in sys.modules

import torch
classifier = Classifier(make_backbone("resnet18", 1, weights="none", dropout=0.0)).eval()
film = torch.rand(2, 1, 32, 32)
with torch.no_grad():
    compiled = torch.compile(classifier, backend="eager")(film)
    torch.testing.assert_close(compiled, classifier(film))
from torch._dynamo import OptimizedModule
assert isinstance(torch.compile(classifier, backend="eager"), OptimizedModule)
"""


def test_timm_comes_without_the_compiler_which_still_works_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], check=True, timeout=120)
