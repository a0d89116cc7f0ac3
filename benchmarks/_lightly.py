"""lightly, where it is installed: its losses and its views."""

from importlib.util import find_spec

import torch

GET = "not measured: pip install 'labkit[bench]' (lightly brings torchvision)"
_declared = []  # a torch.library.Library takes its operators with it when it goes


def have_lightly() -> bool:
    """Whether lightly can be imported; makes it so where torchvision was built for another torch."""
    if find_spec("lightly") is None:
        return False
    if not _declared and not torch.cuda.is_available():
        # torchvision's CUDA build does not load beside a CPU torch and then asks for two operators nobody here uses
        _declared.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            _declared[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return True
