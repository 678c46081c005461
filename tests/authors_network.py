"""The authors' network written out from the names of its weights, one call a layer, and what its answers mean."""

import numpy as np
import torch
import torch.nn.functional as F

SIDES = ("lt", "ft", "rt")


def random_state(shapes, seed=0):
    """Weights of these shapes, such that signals keep their size through all layers and faces lie before the camera."""
    generator = torch.Generator().manual_seed(seed)

    def value(name, shape):
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if name.endswith("running_var"):
            return 0.5 + torch.rand(shape, generator=generator)
        noise = torch.randn(shape, generator=generator)
        if "offset_z" in name and name.endswith("bias"):
            return -9 + 0.3 * noise
        if len(shape) > 1:
            inputs = int(np.prod(shape[1:]))
            small = "fc.conv2_" in name or ".conv2.conv." in name  # heads; kernels of 49 taps that multiply features
            return noise * (0.1 if small else 2**0.5) / inputs**0.5
        if name.endswith("weight"):  # of a normalisation; small at the end of a block, or sixteen blocks explode
            return (0.1 if ".bn3." in name else 1.0) * (1 + 0.1 * noise)
        return 0.1 * noise

    return {name: value(name, shape) for name, shape in shapes.items()}


class AuthorsNetwork:
    """Functions of the tensors of a state dict."""

    def __init__(self, state):
        self.state = state

    def conv(self, x, name, padding=0, stride=1):
        return F.conv2d(x, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), stride, padding)

    def bn(self, x, name):
        s = self.state
        mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
        return F.batch_norm(x, mean, var, s[f"{name}.weight"], s[f"{name}.bias"])

    def double_conv(self, x, name):
        x = F.relu(self.bn(self.conv(x, f"{name}.conv.0", 1), f"{name}.conv.1"))
        return F.relu(self.bn(self.conv(x, f"{name}.conv.3", 1), f"{name}.conv.4"))

    def attention(self, g, x, name):
        g = self.bn(self.conv(g, f"{name}.W_g.0"), f"{name}.W_g.1")
        inner = F.relu(g + self.bn(self.conv(x, f"{name}.W_x.0"), f"{name}.W_x.1"))
        return x * torch.sigmoid(self.bn(self.conv(inner, f"{name}.psi.0"), f"{name}.psi.1"))

    def uuunet(self, views):
        maps = []
        for i, x in enumerate(views):
            maps.append([])
            for level in range(1, 6):
                x = self.double_conv(F.max_pool2d(x, 2) if level > 1 else x, f"uuunet.conv{level}_{i}")
                maps[i].append(x)
        x = torch.cat([each[4] for each in maps], 1)
        for number, level in ((6, 4), (7, 3), (8, 2), (9, 1)):
            s = self.state
            up = F.conv_transpose2d(x, s[f"uuunet.up{number}.weight"], s[f"uuunet.up{number}.bias"], stride=2)
            gated = [self.attention(up, each[level - 1], f"uuunet.att{level}_{i}") for i, each in enumerate(maps)]
            x = torch.cat([up, *gated], 1)
            if number < 9:
                x = self.double_conv(x, f"uuunet.conv{number}")
        return x

    def conv_bn(self, x, name, padding=0, stride=1):
        return F.relu(self.bn(self.conv(x, f"{name}.conv", padding, stride), f"{name}.bn"))

    def involution(self, x, name, size, stride):
        small = F.avg_pool2d(x, stride, stride) if stride > 1 else x
        kernel = self.conv(self.conv_bn(small, f"{name}.conv1"), f"{name}.conv2.conv")
        images, _, height, width = kernel.shape
        groups = x.shape[1] // 16
        taps = F.unfold(x, size, padding=size // 2, stride=stride).view(images, groups, 16, size**2, height, width)
        return (taps * kernel.view(images, groups, 1, size**2, height, width)).sum(3).flatten(1, 2)

    def bottleneck(self, x, name, stride):
        out = F.relu(self.bn(self.conv(x, f"{name}.conv1"), f"{name}.bn1"))
        out = F.relu(self.bn(self.involution(out, f"{name}.conv2", 7, stride), f"{name}.bn2"))
        out = self.bn(self.conv(out, f"{name}.conv3"), f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.bn(self.conv(x, f"{name}.downsample.0", stride=stride), f"{name}.downsample.1")
        return F.relu(out + x)

    def rednet(self, x):
        stem = "rednet_fc.rednet.stem"
        x = self.conv_bn(x, f"{stem}.0", 1, 2)
        x = F.relu(self.bn(self.involution(x, f"{stem}.1", 3, 1), f"{stem}.2"))
        x = F.max_pool2d(self.conv_bn(x, f"{stem}.4", 1), 3, 2, 1)
        for layer in range(1, 5):
            block = 0
            while f"rednet_fc.rednet.layer{layer}.{block}.conv1.weight" in self.state:
                x = self.bottleneck(x, f"rednet_fc.rednet.layer{layer}.{block}", 2 if layer > 1 and not block else 1)
                block += 1
        return x

    def __call__(self, images, masks):
        """Answers (B, n) by the names of the heads, for images (B, 3, 3, H, W) in [0, 1] and class ids (B, 3, H, W).

        Their data and their test script normalise colours by mean 0.5 and deviation 0.5, and leave the mask as it is.
        """
        views = [torch.cat(((images[:, i] - 0.5) / 0.5, masks[:, i, None].float()), 1) for i in range(3)]
        x = F.adaptive_avg_pool2d(self.rednet(self.uuunet(views)), 1)
        names = ["id", "exp", "color", "gamma"]
        names += [f"{kind}_{side}" for side in SIDES for kind in ("rotate", "offset_xy", "offset_z")]
        return {name: self.conv(x, f"rednet_fc.conv2_{name}").flatten(1).double().numpy() for name in names}

    def cbr(self, x, name, padding=0):
        return F.relu(self.bn(self.conv(x, f"{name}.conv", padding), f"{name}.bn"))

    def basic(self, x, name, stride):
        out = F.relu(self.bn(self.conv(x, f"{name}.conv1", 1, stride), f"{name}.bn1"))
        out = self.bn(self.conv(out, f"{name}.conv2", 1), f"{name}.bn2")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.bn(self.conv(x, f"{name}.downsample.0", stride=stride), f"{name}.downsample.1")
        return F.relu(out + x)

    def refine(self, x, name):
        x = self.cbr(x, f"{name}.conv", 1)
        mean = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.bn(self.conv(mean, f"{name}.conv_atten"), f"{name}.bn_atten"))

    def parser(self, images):
        """Scores (N, 10, H, W) of `mask_model`, a BiSeNet, for images (N, 3, H, W) in [0, 1]."""
        path = "mask_model.cp"
        x = F.relu(self.bn(self.conv((images - 0.5) / 0.5, f"{path}.resnet.conv1", 3, 2), f"{path}.resnet.bn1"))
        x, levels = F.max_pool2d(x, 3, 2, 1), []
        for layer in range(1, 5):
            x = self.basic(x, f"{path}.resnet.layer{layer}.0", 2 if layer > 1 else 1)
            x = self.basic(x, f"{path}.resnet.layer{layer}.1", 1)
            levels.append(x)
        _, detail, middle, last = levels
        average = self.cbr(last.mean((2, 3), keepdim=True), f"{path}.conv_avg")
        up = F.interpolate(self.refine(last, f"{path}.arm32") + average, middle.shape[2:])
        up = self.refine(middle, f"{path}.arm16") + self.cbr(up, f"{path}.conv_head32", 1)
        up = self.cbr(F.interpolate(up, detail.shape[2:]), f"{path}.conv_head16", 1)
        fused = self.cbr(torch.cat((detail, up), 1), "mask_model.ffm.convblk")
        weight = F.relu(self.conv(fused.mean((2, 3), keepdim=True), "mask_model.ffm.conv1"))
        fused = fused * torch.sigmoid(self.conv(weight, "mask_model.ffm.conv2")) + fused
        scores = self.conv(self.cbr(fused, "mask_model.conv_out.conv", 1), "mask_model.conv_out.conv_out")
        return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=True)


class AuthorsFace:
    """A face of the answers, one sample, in numpy: decimetres, colours 0..255, rows times matrices from the right.

    `model` has meanshape (V, 3), meantex (V, 3), idBase (K, V, 3), exBase, texBase.
    """

    def __init__(self, model, answers, sample=0):
        self.model = model
        self.answers = {name: values[sample] for name, values in answers.items()}

    def rotation(self, side):
        (sx, sy, sz), (cx, cy, cz) = (f(self.answers[f"rotate_{side}"]) for f in (np.sin, np.cos))
        rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        return (rz @ ry @ rx).T

    def shape(self):
        m, a = self.model, self.answers
        shape = m["meanshape"] + np.tensordot(a["id"], m["idBase"], 1) + np.tensordot(a["exp"], m["exBase"], 1)
        return shape - m["meanshape"].mean(0)

    def posed(self, side):
        offset = np.concatenate((self.answers[f"offset_xy_{side}"], self.answers[f"offset_z_{side}"]))
        return self.shape() @ self.rotation(side) + offset

    def pixels(self, side):
        x, y, z = self.posed(side).T
        return np.stack((112 + 1015 * x / (1 - z), 112 - 1015 * y / (1 - z)), 1)

    def colours(self, normals):
        """Lit vertices 0..255, the same for all views; `normals` are the unposed shape's."""
        nx, ny, nz = (normals @ self.rotation("rt")).T
        a0, a1, a2 = np.pi, 2 * np.pi / np.sqrt(3), 2 * np.pi / np.sqrt(8)
        c0, c1, c2 = 1 / np.sqrt(4 * np.pi), np.sqrt(3) / np.sqrt(4 * np.pi), 3 * np.sqrt(5) / np.sqrt(12 * np.pi)
        basis = [a0 * c0 + 0 * nx, -a1 * c1 * ny, a1 * c1 * nz, -a1 * c1 * nx, a2 * c2 * nx * ny, -a2 * c2 * ny * nz]
        basis += [a2 * c2 * 0.5 / np.sqrt(3) * (3 * nz**2 - 1), -a2 * c2 * nx * nz, a2 * c2 * 0.5 * (nx**2 - ny**2)]
        gamma = self.answers["gamma"].reshape(3, 9) + 0.8 * np.eye(1, 9)
        texture = self.model["meantex"] + np.tensordot(self.answers["color"], self.model["texBase"], 1)
        return texture * (np.stack(basis, 1) @ gamma.T)
