"""The images that AWS has for TensorFlow: where they are, what is in them, how long they are patched."""

import re
from datetime import date

import pytest

from onstage.errors import UserError
from onstage.sagemaker.requests import images


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eu-west-9", "training", "cpu"), "no TensorFlow images in the region 'eu-west-9'.*eu-west-"),
        (("me-west-1", "inference", "cpu"), r"2\.20 inference image is not in the region me-west-1.*me-"),
        (("us-east-1", "inference", "cpu", "2.21"), r"no inference image of TensorFlow 2\.21; there are 2\.20, 2\.19"),
        (("me-west-1", "training", "gpu", "2.19"), r"2\.19 training image is not in the region me-west-1"),
    ],
)
def test_an_image_that_does_not_exist_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        images.image_uri(*arguments)
    assert images.image_uri("me-west-1", "training", "cpu").startswith("124382933778.dkr.ecr.me-west-1.")


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [("ml.m5.xlarge", "cpu"), ("ml.c5n.large", "cpu"), ("ml.m7i-flex.large", "cpu"), ("ml.r5d.large", "cpu"),
     ("ml.g5.xlarge", "gpu"), ("ml.g4dn.xlarge", "gpu"), ("ml.p4d.24xlarge", "gpu"), ("ml.p6-b200.48xlarge", "gpu")],
)  # fmt: skip
def test_the_instance_type_says_which_image(instance_type: str, expected: str) -> None:
    assert images.accelerator_of(instance_type) == expected


@pytest.mark.parametrize("family", ["c6g", "m8g", "r7gd", "g5g", "inf2", "trn1", "dl1", "p6e-gb200"])
def test_processors_without_an_image_are_refused(family: str) -> None:
    with pytest.raises(UserError, match=f"ml.{family}.xlarge has .*, on which AWS's TensorFlow images do not run"):
        images.accelerator_of(f"ml.{family}.xlarge")


@pytest.mark.parametrize(
    "tag",
    ["2.21-cpu-py312", "2.21.0-cpu-py312", "2.21-cpu-py312-amzn2023-sagemaker-v1",
     "2.21.0-cpu-py312-amzn2023-sagemaker-v1.0-2026-07-10-17-30-00"],
)  # fmt: skip
def test_an_image_is_known_by_any_of_its_tags(tag: str) -> None:
    for registry in ("763104351884.dkr.ecr.eu-west-1.amazonaws.com", "public.ecr.aws/deep-learning-containers"):
        image = images.known_image(f"{registry}/tensorflow-training:{tag}")
        assert (image.role, image.tensorflow, image.python, image.accelerator) == ("training", "2.21", "3.12", "cpu")
        listed = image.packages.read_text(encoding="utf-8").splitlines()
        assert "tensorflow-cpu==2.21.0" in listed
        assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==\S+", line) for line in listed)


@pytest.mark.parametrize(
    "uri",
    ["111122223333.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21-cpu-py312", "mine/serve:1",
     "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-training:2.8-cpu",
     "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:1.15-cpu-py37"],
)  # fmt: skip
def test_nothing_is_claimed_about_other_images(uri: str) -> None:
    assert images.known_image(uri) is None
    assert images.patch_problem(uri, date(2100, 1, 1)) is None


def test_an_image_past_its_patches_is_named_with_what_to_choose() -> None:
    old = images.image_uri("us-east-1", "training", "cpu", "2.19")
    assert images.patch_problem(old, date(2026, 3, 11)) is None
    said = images.patch_problem(old, date(2026, 3, 12))
    assert "no security patches since 2026-03-11; remove training_image" in said
    assert "2.21 is the newest" in said
    newest = images.image_uri("us-east-1", "inference", "gpu")
    assert images.patch_problem(newest, date(2027, 8, 20)) is None
    assert "update the template" in images.patch_problem(newest, date(2027, 8, 21))
