"""The student: a part of its teacher at first, with statistics of its own."""

from collections.abc import Callable

import torch
from torch import nn

from segany.model.config import CONFIGS
from segany.model.sam import Sam
from segany.train import TrainConfig
from segany.train.student import calibrate, make_student

Make = Callable[..., TrainConfig]


def test_the_usual_student_has_under_two_million_parameters() -> None:
    with torch.device("meta"):
        large = Sam(CONFIGS["mobile_sam"])
    student = make_student(large.to_empty(device="cpu"), TrainConfig(tune="distil"))
    assert sum(parameter.numel() for parameter in student.image_encoder.parameters()) < 2_000_000
    assert student.config.embedding_side == 64


def test_it_takes_the_first_channels_and_the_decoder(tiny: Sam, make_config: Make) -> None:
    student = make_student(tiny, make_config(tune="distil", student_dims=(8, 8, 16, 16)))
    name = "layers.1.blocks.0.mlp.fc1.weight"
    small, large = (model.image_encoder.state_dict()[name] for model in (student, tiny))
    assert small.shape == (32, 8)
    assert torch.equal(small, large[:32, :8])
    for key, tensor in tiny.mask_decoder.state_dict().items():
        assert torch.equal(student.mask_decoder.state_dict()[key], tensor)


def test_calibration_makes_the_norms_those_of_the_inputs(tiny: Sam, make_config: Make) -> None:
    student = make_student(tiny, make_config(tune="distil", student_dims=(8, 8, 16, 16)))
    inputs = [5 * torch.rand(1, 3, 128, 128) for _ in range(3)]
    norms = [module for module in student.image_encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    calibrate(student, inputs)
    first = norms[0]
    assert first.momentum == 0.1
    assert not student.image_encoder.training
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad():
        for pixels in inputs:
            student.image_encoder(pixels)
    values = torch.cat(seen).transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(len(values)), atol=0.05, rtol=0)
    torch.testing.assert_close(values.std(1), torch.ones(len(values)), atol=0.1, rtol=0)
