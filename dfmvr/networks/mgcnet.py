"""The network of Shang et al. 2020 (MGCNet): one ResNet for all views, trained on three, tested on one.

Source: Shang et al. 2020, "Self-Supervised Monocular 3D Face Reconstruction by Occlusion-Aware Multi-view Geometry
Consistency", section 3.
"""

from __future__ import annotations

from torch import Tensor

from dfmvr.face_model.coefficients import Coefficients
from dfmvr.networks.single_image import FRONT, PerViewNetwork


class MGCNet(PerViewNetwork):
    """One regressor, asked about every view for itself.

    Paper: pose is an offset from a mean pose before a lens of 4,700 px; here from the front view before our camera.
    """

    def sample_answer(self, images: Tensor) -> Coefficients:
        """The front image's answer, with each view's own pose and lighting.

        ASSUME: the front image stands for the sample; the best of the three is found by scoring `per_view`'s answers.
        """
        answers = self.per_view(images)
        return Coefficients(*(values[:, FRONT] for values in answers[:3]), *answers[3:])
