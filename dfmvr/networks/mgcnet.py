"""The network of Shang et al. 2020 (MGCNet): one ResNet for all views, trained on three, tested on one.

Source: Shang et al. 2020, "Self-Supervised Monocular 3D Face Reconstruction by Occlusion-Aware Multi-view Geometry
Consistency", section 3.
"""

from __future__ import annotations

from torch import Tensor, nn

from dfmvr.conventions import VIEWS
from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.single_image import FRONT, SingleImageRegressor, SingleImageSettings, check_views


class MGCNet(nn.Module):
    """One regressor, asked about every view for itself.

    Paper: pose is an offset from a mean pose before a lens of 4,700 px; here from the front view before our camera.

    Args:
        settings: a `SingleImageSettings`, or one that has its fields.
        image_size: width and height of the aligned images in pixels, 32 or more.
        identity_size, expression_size, texture_size: components of the face model.
    Raises:
        ConfigError: a setting or the image size does not fit.
    """

    def __init__(
        self,
        settings: SingleImageSettings,
        image_size: int,
        identity_size: int,
        expression_size: int,
        texture_size: int,
    ) -> None:
        super().__init__()
        self.regressor = SingleImageRegressor(settings, image_size, identity_size, expression_size, texture_size)

    def per_view(self, images: Tensor) -> Coefficients:
        """Regress every image (B, V, 3, S, S) for itself; see `SingleImageRegressor.answer`."""
        return self.regressor(images)

    def forward(self, images: Tensor, masks: Tensor | None = None, each: bool = False) -> Coefficients:
        """The front image's answer, with each view's own pose and lighting.

        ASSUME: the front image stands for the sample; the best of the three is found by scoring `per_view`'s answers.

        Args:
            images: (B, 3, 3, S, S) RGB in [0, 1], views left, front, right.
            masks: not looked at.
            each: give what is trained instead, `per_view`.
        Raises:
            DataError: another shape.
        """
        if each:
            return self.per_view(images)
        check_views(images, len(VIEWS))
        answers = self.regressor(images)
        one = (values[:, FRONT] for values in (answers.identity, answers.expression, answers.texture))
        return Coefficients(*one, answers.lighting, answers.angles, answers.translation)
