"""The authors' networks in plain numpy, with the stored arrays: channels first, true convolutions, float64.

This module also writes the authors' file format, opcode by opcode, for arrays of any shape.
"""

import numpy as np

SLOPE, EPSILON = 0.2, 1e-8


# -- arithmetic


def convolution(x, w, stride, padding):
    """True convolution: x [N, C, H, W], w [O, C / groups, k, k]."""
    groups = x.shape[1] // w.shape[1]
    if groups > 1:
        halves = zip(np.split(x, groups, axis=1), np.split(w, groups, axis=0), strict=True)
        return np.concatenate([convolution(part, kernel, stride, padding) for part, kernel in halves], axis=1)
    k = w.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = ((n - k) // stride + 1 for n in x.shape[2:])
    out = 0.0
    for a in range(k):
        for b in range(k):
            rows, columns = k - 1 - a, k - 1 - b
            part = x[:, :, rows : rows + stride * height : stride, columns : columns + stride * width : stride]
            out = out + np.einsum("ncyx,oc->noyx", part[:, :, :height, :width], w[:, :, a, b], optimize=True)
    return out


def deconvolution(h, w):
    """The gradient of a 5x5 true convolution of stride 2 and padding 2, from [N, I, h, h] to [N, O, 2h, 2h]."""
    count, _, height, width = h.shape
    k = w.shape[2]
    out = np.zeros((count, w.shape[1], 2 * height + k - 2, 2 * width + k - 2))
    for a in range(k):
        for b in range(k):
            rows, columns = k - 1 - a, k - 1 - b
            part = np.einsum("niyx,io->noyx", h, w[:, :, a, b], optimize=True)
            out[:, :, rows : rows + 2 * height - 1 : 2, columns : columns + 2 * width - 1 : 2] += part
    return out[:, :, 2 : 2 + 2 * height, 2 : 2 + 2 * width]


def pool(x):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    height, width = ((n - 3) // 2 + 1 for n in x.shape[2:])
    views = [
        x[:, :, a : a + 2 * height : 2, b : b + 2 * width : 2][:, :, :height, :width]
        for a in range(3)
        for b in range(3)
    ]
    return np.max(views, axis=0)


def rectified(h):
    return np.where(h > 0, h, SLOPE * h)


def normalised(h, count, means, variances, gain, bias):
    shape = (1, -1) + (1,) * (h.ndim - 2)
    mean, variance, gain, bias = (v.reshape(shape) for v in (means / count, variances / count, gain, bias))
    return gain * (h - mean) / np.sqrt(variance + EPSILON) + bias


# -- networks


def encoder(arrays, x):
    """x in [-1, 1] -> (conv5 [N, 256, q, q], logits)."""
    stream = iter(arrays)
    h = pool(rectified(convolution(x, next(stream), 4, 5)))
    for padding in (2, 1, 1, 1):
        h = rectified(normalised(convolution(h, next(stream), 1, padding), *(next(stream) for _ in range(5))))
        if padding == 2:
            h = pool(h)
    return h, h.reshape(len(h), -1) @ next(stream)


def generator(arrays, z):
    """z -> pixels before the sigmoid, [N, 3, 64, 64]."""
    stream = iter(arrays)
    h = np.maximum(normalised(z @ next(stream), *(next(stream) for _ in range(5))), 0.0).reshape(len(z), 512, 4, 4)
    for _ in range(3):
        h = deconvolution(h, next(stream)) + (z @ next(stream))[:, :, None, None]
        h = np.maximum(normalised(h, *(next(stream) for _ in range(5))), 0.0)
    return deconvolution(h, next(stream))


def discriminator(arrays, x, z):
    """x in [-1, 1] and z -> logits [N, 1]."""
    stream = iter(arrays)
    h = rectified(convolution(x, next(stream), 2, 2))
    for _ in range(3):
        h = convolution(h, next(stream), 2, 2) + (z @ next(stream))[:, :, None, None]
        h = rectified(normalised(h, *(next(stream) for _ in range(5))))
    return h.reshape(len(h), -1) @ next(stream)


# -- synthetic parameters


def parameters(role, seed, flat=4096, counts=(1000,)):
    """Random float32 parameter lists of the authors' shapes, in which all entries are distinguishable."""
    rng = np.random.default_rng(seed)
    arrays, norms = [], 0

    def weight(*shape, fan_in):
        arrays.append(rng.normal(0.0, fan_in**-0.5, shape).astype(np.float32))

    def norm(channels):
        nonlocal norms
        count = counts[norms % len(counts)]
        norms += 1
        arrays.append(np.array(count, np.int64))
        arrays.append((count * rng.normal(0.0, 0.3, channels)).astype(np.float32))
        arrays.append((count * (0.05 + rng.uniform(size=channels))).astype(np.float32))
        arrays.append((1.0 + 0.2 * rng.normal(size=channels)).astype(np.float32))
        arrays.append((0.3 * rng.normal(size=channels)).astype(np.float32))

    if role == "encoder":
        weight(96, 3, 11, 11, fan_in=363)
        for out, into, k in ((256, 48, 5), (384, 256, 3), (384, 192, 3), (256, 192, 3)):
            weight(out, into, k, k, fan_in=into * k * k)
            norm(out)
        weight(flat, 200, fan_in=flat)
    elif role == "generator":
        weight(200, 8192, fan_in=200)
        norm(8192)
        for into, out in ((512, 256), (256, 128), (128, 64)):
            weight(into, out, 5, 5, fan_in=into * 25 / 4)
            weight(200, out, fan_in=200)
            norm(out)
        weight(64, 3, 5, 5, fan_in=64 * 25 / 4)
    else:
        weight(64, 3, 5, 5, fan_in=75)
        for into, out in ((64, 128), (128, 256), (256, 512)):
            weight(out, into, 5, 5, fan_in=into * 25)
            weight(200, out, fan_in=200)
            norm(out)
        weight(8192, 1, fan_in=8192)
    return arrays


# -- the file format


def write(path, arrays, layout="B"):
    """Writes arrays as joblib 0.9 ("A": a .npy file each) or 0.10 ("B": all in one) did under Python 2."""
    out = [b"\x80\x02]("]
    wrapper = b"NDArrayWrapper" if layout == "A" else b"NumpyArrayWrapper"
    for i, array in enumerate(arrays, start=1):
        out += [b"csklearn.externals.joblib.numpy_pickle\n", wrapper, b"\n)\x81}("]
        state = {"subclass": b"cnumpy\nndarray\n", "allow_mmap": b"\x88"}
        if layout == "A":
            name = f"{path.name}_{i:02d}.npy"
            np.save(path.with_name(name), array)
            state["filename"] = _text(name)
        else:
            state["order"] = _text("C")
            state["shape"] = b"(" + b"".join(_integer(n) for n in array.shape) + b"t"
            arguments = _text(array.dtype.str[1:]) + _integer(0) + _integer(1)
            rest = _integer(3) + _text("<") + b"NNN" + _integer(-1) * 2 + _integer(0)
            state["dtype"] = b"cnumpy\ndtype\n(" + arguments + b"tR(" + rest + b"tb"
        out += [_text(key) + value for key, value in state.items()] + [b"ub"]
        if layout == "B":
            out.append(np.ascontiguousarray(array).tobytes())
    path.write_bytes(b"".join([*out, b"e."]))
    return path


def _text(text):
    return b"U" + bytes([len(text)]) + text.encode()


def _integer(n):
    return b"J" + int(n).to_bytes(4, "little", signed=True)
