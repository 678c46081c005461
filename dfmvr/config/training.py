"""Sections of what is trained: crops, face parser, networks, losses, variants."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dfmvr.config.section import Section


class AlignSection(Section):
    """Landmarks and crops."""

    image_size: int = Field(64, ge=32, le=512, description="Width and height of the aligned crops in pixels.")
    landmarks: Literal["annotated", "face_alignment", "mediapipe", "own"] = Field(
        "annotated",
        description="Source of the 68 landmarks: the data set's own files, the libraries face-alignment and mediapipe, "
        "or the small networks that ship with dfmvr, which are less exact.",
    )
    truncate_landmarks: bool = Field(
        False, description="Cut the landmarks' places in the crops down to whole pixels, as the released code does."
    )


class DeparturesSection(Section):
    """What the authors' released code does otherwise; by default nothing."""

    @property
    def depart(self) -> bool:
        """Whether one of them is on."""
        return self != type(self)()


class ReleasedParseSection(DeparturesSection):
    """What the authors' released code does otherwise with weight maps, a key each."""

    keep_background: bool = Field(False, description="The dilated face does not grow over the background.")
    left_features_bug: bool = Field(
        False,
        description="The features of left views have the weight 1 instead of `feature_weight`, hence next to none "
        "beside skin and background, by a line that names the right view twice.",
    )


class ParseSection(Section):
    """The face parse net and its masks."""

    width: int = Field(12, ge=4, description="Channels of the first stage; the paper's net has 64.")
    output_stride: Literal[2, 4, 8] = Field(
        4, description="Pixels to one cell of the grid of classes; the paper's net has 8, small images want 4."
    )
    epochs: int = Field(13, ge=0, description="Passes over the training images; 0 keeps `facexlib_weights` unchanged.")
    batch_size: int = Field(8, ge=2, description="Images a step.")
    optimiser: Literal["adamw", "sgd"] = Field(
        "adamw", description="AdamW, or BiSeNet's SGD with momentum, which wants more steps."
    )
    learning_rate: float = Field(8e-3, gt=0, description="Peak learning rate.")
    class_exponent: float = Field(
        0.4,
        ge=0,
        description="A class weighs in the loss as its usual share of the pixels to the power of minus this; 0: all "
        "pixels weigh alike, as in BiSeNet.",
    )
    checkpoint_minutes: float = Field(1.0, gt=0, description="Time between two checkpoints.")
    facexlib_weights: Path | None = Field(
        None, description="facexlib's parsing_bisenet.pth, to start from instead of random weights (width 64, 512 px)."
    )
    feature_weight: int = Field(254, ge=0, le=255, description="Weight of facial features in the photo loss (Fig. 4).")
    face_weight: int = Field(128, ge=0, le=255, description="Weight of the rest of the face (Fig. 4).")
    background_weight: int = Field(32, ge=0, le=255, description="Weight of the background (Fig. 4).")
    dilation_px: float = Field(20, ge=0, description="Dilation of the mask for the weight map, in pixels at 224.")
    seed: int = Field(0, ge=0, description="Seed of initial weights and augmentation.")
    released: ReleasedParseSection = Field(
        ReleasedParseSection(), description="What the authors' released code does otherwise."
    )


class NetworkSection(Section):
    """DF-MVR's network."""

    fusion: Literal["cnn", "unet", "unet_late", "tri_unet"] = Field(
        "tri_unet",
        description="How the views are fused: one CNN on every view, its features concatenated; one U-Net that sees "
        "all views at once, or each alone and is concatenated at the end; or Tri-UNet.",
    )
    width: int = Field(8, ge=2, description="Channels of the first level of the fusion; the paper has 64.")
    backbone: Literal["rednet", "resnet"] = Field("rednet", description="The network that regresses the coefficients.")
    backbone_width: int = Field(16, ge=16, description="Channels of the backbone's stem; RedNet-50 has 64.")
    depth: Literal[14, 26, 38, 50] = Field(14, description="Depth of the backbone; the paper has 50.")
    face_mask: bool = Field(True, description="Give the parser's mask as the fourth input channel.")
    last_concat: bool = Field(
        True,
        description="Regress from the fusion's last concatenation (4 x width channels; 2 x in a U-Net), as the "
        "released code does; the paper's text regresses from `width` channels, too few in a narrow network.",
    )
    stem_pool: bool = Field(False, description="Max pooling in the backbone's stem; RedNet has it, for 224 px.")
    neck: int = Field(256, ge=0, description="Units of a layer that sees the whole last map; 0: its mean.")
    fine: int = Field(
        32,
        ge=0,
        description="Channels of the backbone's second stage that the neck sees too, four times as fine as the last "
        "map; 0: the last map alone, as in the paper.",
    )
    quick_start: bool = Field(True, description="Initial weights for a short training; false: RedNet's own.")


class LossSection(Section):
    """Weights of the losses, Eqs. 2 to 8."""

    photo: float = Field(4.0, ge=0, description="w_p of the photo loss, Eq. 2.")
    mask: float = Field(3.0, ge=0, description="w_m of the mask loss, Eq. 3.")
    mask_uncovered: bool = Field(
        False,
        description="The mask loss counts the pixels of the photograph's face that the rendering does not cover too, "
        "as the paper's N_p may be read, so that a face drawn too small or beside the face costs something.",
    )
    silhouette: bool = Field(
        False,
        description="The mask loss is differentiable in the silhouette of the rendering too, not in its colours alone.",
    )
    landmark: float = Field(1.0, ge=0, description="w_l of both landmark losses, Eq. 7.")
    landmark_2d: float = Field(0.02, ge=0, description="w_2d, Eq. 7 (distances in pixels of a 224 px image).")
    landmark_3d: float = Field(1.0, ge=0, description="w_3d, Eq. 7 (distances in mm).")
    regularisation: float = Field(3e-4, ge=0, description="w_reg of Eq. 8.")
    identity: float = Field(1.0, ge=0, description="w_alpha of Eq. 8.")
    expression: float = Field(0.8, ge=0, description="w_beta of Eq. 8.")
    texture: float = Field(0.017, ge=0, description="w_gamma of Eq. 8.")

    @property
    def compares_3d(self) -> bool:
        """Whether the 3D landmark loss, Eq. 6, counts."""
        return self.landmark * self.landmark_3d > 0


class ReleasedSection(DeparturesSection):
    """What the authors' released code does otherwise when it trains DF-MVR, a key each."""

    raw_labels: bool = Field(
        False,
        description="The network sees masks as class ids from 0 to 9 beside colours in [-1, 1]; else all in [-1, 1].",
    )
    shared_lighting: bool = Field(
        False,
        description="The network answers one lighting for all views, fixed to the head; all normals are then the right "
        "view's. Else one lighting a view.",
    )
    plain_heads: bool = Field(
        False,
        description="The heads start from torch's random weights, the face 1 dm before the camera and unturned in all "
        "views; else they answer the mean face in each view's mean pose.",
    )
    unit_normals: bool = Field(
        False, description="Normals of vertices are means of their triangles' unit normals; else weighted by area."
    )
    small_screen: bool = Field(
        False,
        description="Landmarks are projected as by PyTorch3D 0.5, one pixel in `align.image_size` nearer to the "
        "image's centre, 0.45 % at 224.",
    )
    alpha_weight: bool = Field(
        False,
        description="Pixels of the photo loss weigh as PyTorch3D's alpha, from 0.5 on the edges of triangles to 1 far "
        "from them; else all alike.",
    )
    pooled_photo: bool = Field(
        False, description="The photo loss is one mean over the pixels of all samples of a batch; else of each sample."
    )
    emphasised_eyes: bool = Field(
        False,
        description="2D landmarks of weight 20: the nose's lower bridge, the eyes and the inner mouth (28-30, 36-47, "
        "60-67); else the nose and the inner mouth (27-35, 60-67).",
    )
    rms_scale: bool = Field(
        False, description="The scale of Eq. 5 is the ratio of the two point sets' sizes; else the minimum's."
    )
    third_column: bool = Field(
        False,
        description="A reflection in Eq. 5 becomes a rotation by the sign of the third column; else along the least "
        "singular direction, which gives the minimum.",
    )
    detached_mask_loss: bool = Field(
        False, description="The mask loss does not move the network: the rendering is detached, so it adds a constant."
    )
    mask_from: float = Field(
        0.0, ge=0, le=1, description="Share of the steps after which the mask loss counts; 101 of 280 epochs there."
    )
    parser_in_training_mode: bool = Field(
        False,
        description="The mask loss's parser normalises each batch by itself, and its trained statistics drift away.",
    )
    lighting: float = Field(0.0, ge=0, description="Weight of the light's colour; 10 there, as in Deng et al.")
    albedo: float = Field(0.0, ge=0, description="Weight of the skin's unevenness; 5 there.")
    lit_albedo: bool = Field(
        False, description="That unevenness is measured on the lit texture, so that shading is punished."
    )
    colours: bool = Field(
        False,
        description="Photographs vary in brightness, contrast, saturation and sharpness by 0.5 to 1.5, three in ten "
        "are blurred, none is mirrored; else they are mirrored by chance and vary less.",
    )
    flat_share: float = Field(
        0.0, ge=0, le=1, description="Share of the steps, the first ones, at the initial rate; 50 of 280 epochs there."
    )
    final_rate: float = Field(
        0.0, ge=0, le=1, description="Where the cosine ends, as a share of the initial rate; 0.01 there."
    )


class SingleImageSection(Section):
    """The baselines' ResNet."""

    backbone_width: int = Field(16, ge=4, description="Channels of the stem; ResNet-50 has 64.")
    depth: Literal[14, 26, 38, 50] = Field(14, description="Depth; the papers have 50.")
    stem_pool: bool = Field(False, description="Max pooling in the stem; ResNet has it, for 224 px.")
    neck: int = Field(256, ge=0, description="Units of a layer that sees the whole last map; 0: its mean.")
    fine: int = Field(
        32,
        ge=0,
        description="Channels of the backbone's second stage that the neck sees too, four times as fine as the last "
        "map; 0: the last map alone, as in the paper.",
    )
    quick_start: bool = Field(True, description="Initial weights for a short training; false: ResNet's own.")


class Deep3DSection(SingleImageSection):
    """The networks of Deng et al. 2019."""

    aggregation: Literal["confidence", "mean"] = Field(
        "confidence",
        description="How the identities of three photographs become one: weighted by C-Net, or their mean.",
    )


class DengWeightsSection(Section):
    """Weights of the losses of Deng et al. 2019, and the training of C-Net."""

    photo: float = Field(1.92, ge=0, description="Photo loss on the face.")
    landmark_2d: float = Field(1.6e-3, ge=0, description="Squared distance of landmarks, in pixels of a 224 px image.")
    regularisation: float = Field(3e-4, ge=0, description="All of the regularisation.")
    identity: float = Field(1.0, ge=0, description="Identity within the regularisation.")
    expression: float = Field(0.8, ge=0, description="Expression within the regularisation.")
    texture: float = Field(0.017, ge=0, description="Texture within the regularisation.")
    lighting: float = Field(10.0, ge=0, description="Colour of the light.")
    albedo: float = Field(5.0, ge=0, description="Unevenness of the skin's albedo.")
    perceptual: float = Field(0.2, ge=0, description="Distance of face embeddings; needs `embedding`.")
    embedding: Path | None = Field(
        None, description="Face recognition network written by torch.export, RGB in [0, 1] (N, 3, 224, 224) to (N, D)."
    )
    confidence_share: float = Field(
        0.2, ge=0, le=1, description="Share of the steps, the last ones, that train C-Net with the rest fixed."
    )


class DengSection(Section):
    """The baseline of Deng et al. 2019."""

    network: Deep3DSection = Field(Deep3DSection(), description="The network.")
    loss: DengWeightsSection = Field(DengWeightsSection(), description="The losses.")
    landmark_share: float = Field(
        0.6, ge=0, le=1, description="As `train.landmark_share`, which the other methods go by."
    )
    imagenet_weights: Path | None = Field(
        None,
        description="torchvision's resnet50-0676ba61.pth, to start from instead of random weights, as the paper does "
        "(depth 50, width 64).",
    )


class ShangWeightsSection(Section):
    """Weights of the losses of Shang et al. 2020."""

    photo: float = Field(1.9, ge=0, description="Photo loss on the face.")
    landmark_2d: float = Field(1e-3, ge=0, description="Squared distance of landmarks, in pixels of a 224 px image.")
    shape: float = Field(1e-4, ge=0, description="Regularisation of identity and expression.")
    expression: float = Field(0.8, ge=0, description="Expression within `shape`.")
    texture: float = Field(5.1e-7, ge=0, description="Regularisation of texture.")
    perceptual: float = Field(0.2, ge=0, description="Distance of face embeddings; needs `embedding`.")
    embedding: Path | None = Field(None, description="As of `train.deng.loss`.")
    multi_view: float = Field(1.0, ge=0, description="All three of the following.")
    pixel: float = Field(0.15, ge=0, description="Colours of the side views carried into the front view.")
    depth: float = Field(1e-4, ge=0, description="Depth of the side views carried into the front view, in mm.")
    epipolar: float = Field(1e-3, ge=0, description="Landmarks to epipolar lines, in pixels of a 224 px image.")


class ShangSection(Section):
    """The baseline of Shang et al. 2020."""

    network: SingleImageSection = Field(SingleImageSection(), description="The network.")
    loss: ShangWeightsSection = Field(ShangWeightsSection(), description="The losses.")
    imagenet_weights: Path | None = Field(None, description="As of `train.deng`.")


class TrainSection(Section):
    """Training of one variant."""

    method: Literal["df_mvr", "deng", "shang"] = Field(
        "df_mvr", description="What is trained: DF-MVR or one of the two baselines."
    )
    data: Literal["pixel_face", "multi_pie"] = Field("pixel_face", description="The data set trained on.")
    epochs: int = Field(12, ge=1, description="Passes over the training samples; the paper has 512.")
    landmark_share: float = Field(
        0.9, ge=0, le=1, description="Share of the steps with landmarks and regularisation alone, without renderings."
    )
    landmark_first: bool = Field(
        False, description="Let those steps come first; false: spread the steps with renderings evenly over all."
    )
    batch_size: int = Field(16, ge=2, description="Samples a step, over all processes.")
    accumulate: int = Field(
        1, ge=1, description="Pieces of a batch that are computed one after the other, to save memory."
    )
    learning_rate: float = Field(2e-3, gt=0, description="Initial learning rate of Adam, annealed by half a cosine.")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the networks.")
    gpus: int = Field(
        0,
        ge=0,
        description="GPUs that a training of the workflow asks for, one process each; 0: one process, and CPUs do.",
    )
    hours: float = Field(
        48.0,
        gt=0,
        description="Time that a training on GPUs, and the parser's then, asks a cluster for; one that this ends can "
        "go on where it was. On CPUs it is 4.",
    )
    single_view_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the samples of which the network sees one view alone, the others being black; a third in "
        "the single-view scheme (V-C).",
    )
    augment: bool = Field(
        True,
        description="Vary the photographs, which the renderings are compared with too: mirrored by chance, brightness, "
        "contrast, colours, sharpness and noise.",
    )
    placement: float = Field(
        0.0,
        ge=0,
        description="How far each photograph is shifted, scaled and turned by chance, as landmark finders err: 1 "
        "stands for standard deviations of 4 px at 224, 4 % and 4 degrees.",
    )
    checkpoint_minutes: float = Field(1.0, gt=0, description="Time between two checkpoints.")
    seed: int = Field(0, ge=0, description="Seed of initial weights, order and augmentation.")
    initial_weights: Path | None = Field(
        None,
        description="A trained network of the same method, sizes and face model to start from, such as the one that "
        "ships, dfmvr/assets/network.safetensors; null: fresh weights.",
    )
    network: NetworkSection = Field(NetworkSection(), description="DF-MVR's network.")
    loss: LossSection = Field(LossSection(), description="DF-MVR's losses.")
    deng: DengSection = Field(DengSection(), description="Network and losses where the method is `deng`.")
    shang: ShangSection = Field(ShangSection(), description="Network and losses where the method is `shang`.")
    released: ReleasedSection = Field(
        ReleasedSection(), description="What the authors' released code does otherwise; DF-MVR's alone."
    )

    @property
    def kind(self) -> str:
        """The module of `dfmvr.train.methods` that trains so, and the network's name in `dfmvr.networks.kinds`."""
        return "released_code" if self.method == "df_mvr" and self.released.depart else self.method

    @property
    def minutes(self) -> int:
        """The time limit that a cluster is asked for."""
        return max(1, round(60 * self.hours)) if self.gpus else 240

    @property
    def files(self) -> list[Path]:
        """The files beside the study's own that the training starts from or compares with."""
        paths = [self.initial_weights]
        if self.method != "df_mvr":
            section = getattr(self, self.method)
            paths += [section.imagenet_weights, section.loss.embedding]
        return [path for path in paths if path]
