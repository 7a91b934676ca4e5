"""What each op is defined to do, as plain loops: slow, obvious, independent of mmeff."""

import math

import torch


def iou(a, b, offset=0):
    """IoU of two boxes given as lists x1, y1, x2, y2."""
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + offset)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + offset)
    areas = [(x2 - x1 + offset) * (y2 - y1 + offset) for x1, y1, x2, y2 in (a, b)]
    return width * height / (sum(areas) - width * height)


def nms(boxes, scores, iou_threshold, offset=0):
    boxes = boxes.tolist()
    kept = []
    for box in scores.argsort(descending=True).tolist():
        if all(iou(boxes[box], boxes[k], offset) <= iou_threshold for k in kept):
            kept.append(box)
    return kept


def soft_nms(boxes, scores, iou_threshold, sigma, min_score, method, offset=0):
    """Kept indices and their final scores."""
    boxes, left = boxes.tolist(), dict(enumerate(scores.tolist()))
    kept = {}
    while left:
        best = max(left, key=left.get)
        kept[best] = left.pop(best)
        for other in list(left):
            overlap = iou(boxes[best], boxes[other], offset)
            if method == 'gaussian':
                left[other] *= math.exp(-(overlap**2) / sigma)
            elif overlap >= iou_threshold:
                left[other] *= 1 - overlap if method == 'linear' else 0
            if left[other] < min_score:
                del left[other]
    return list(kept), list(kept.values())


def nms_match(boxes, scores, iou_threshold):
    boxes = boxes.tolist()
    left = scores.argsort(descending=True).tolist()
    groups = []
    while left:
        leader = left[0]
        group = [
            box
            for box in left
            if box == leader or iou(boxes[leader], boxes[box]) >= iou_threshold
        ]
        left = [box for box in left if box not in group]
        groups.append(group)
    return groups


def bilinear(plane, y, x):
    """Value of a (H, W) plane between its pixels; pixels outside are 0."""
    height, width = plane.shape
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                share = (1 - abs(y - row)) * (1 - abs(x - column))
                total += share * float(plane[row, column])
    return total


def bilinear_clamped(plane, y, x):
    """As RoIAlign samples: up to one pixel outside takes the border's value."""
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    return bilinear(plane, min(max(y, 0), height - 1), min(max(x, 0), width - 1))


def roi_align(input, rois, size, scale, samples, aligned):
    output = input.new_zeros(len(rois), input.size(1), *size)
    shift = 0.5 if aligned else 0.0
    for r, c, py, px in torch.cartesian_prod(*map(torch.arange, output.shape)).tolist():
        x1, y1, x2, y2 = (v * scale - shift for v in rois[r, 1:].tolist())
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        bin_h, bin_w = height / size[0], width / size[1]
        rows, columns = samples or math.ceil(bin_h), samples or math.ceil(bin_w)
        values = [
            bilinear_clamped(
                input[int(rois[r, 0]), c],
                y1 + (py + (i + 0.5) / rows) * bin_h,
                x1 + (px + (j + 0.5) / columns) * bin_w,
            )
            for i in range(rows)
            for j in range(columns)
        ]
        output[r, c, py, px] = sum(values) / max(len(values), 1)
    return output


def roi_pool(input, rois, size, scale):
    """mmcv's RoIPool: the corners keep their fraction, the bins are widened."""
    height, width = input.shape[2:]
    output = input.new_zeros(len(rois), input.size(1), *size)
    for r, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        if x2 <= x1 or y2 <= y1:
            continue
        bin_h, bin_w = (y2 - y1) / size[0], (x2 - x1) / size[1]
        for py in range(size[0]):
            for px in range(size[1]):
                top = min(max(math.floor(py * bin_h + y1), 0), height)
                left = min(max(math.floor(px * bin_w + x1), 0), width)
                bottom = min(max(math.ceil((py + 1) * bin_h + y1), 0), height)
                right = min(max(math.ceil((px + 1) * bin_w + x1), 0), width)
                if bottom > top and right > left:
                    patch = input[int(image), :, top:bottom, left:right]
                    output[r, :, py, px] = patch.flatten(1).max(1).values
    return output


def deform_conv(input, offset, mask, weight, stride, padding, dilation, groups):
    """One deformable group per equal share of the input channels; mask may be None."""
    num, channels = input.shape[:2]
    out_channels, per_group, kh, kw = weight.shape
    deform_groups = offset.size(1) // (2 * kh * kw)
    output = input.new_zeros(num, out_channels, *offset.shape[2:])
    for n, o, y, x in torch.cartesian_prod(*map(torch.arange, output.shape)).tolist():
        total = 0.0
        for k in range(per_group):
            c = o // (out_channels // groups) * per_group + k
            deform_group = c // (channels // deform_groups)
            for i in range(kh):
                for j in range(kw):
                    tap = (deform_group * kh + i) * kw + j
                    dy, dx = offset[n, 2 * tap : 2 * tap + 2, y, x].tolist()
                    row = y * stride - padding + i * dilation + dy
                    column = x * stride - padding + j * dilation + dx
                    factor = 1.0 if mask is None else float(mask[n, tap, y, x])
                    value = bilinear(input[n, c], row, column)
                    total += factor * float(weight[o, k, i, j]) * value
        output[n, o, y, x] = total
    return output


def carafe(features, masks, kernel_size, group_size, scale_factor):
    num, channels, height, width = features.shape
    output = features.new_zeros(
        num, channels, height * scale_factor, width * scale_factor
    )
    radius = kernel_size // 2
    for n, c, y, x in torch.cartesian_prod(*map(torch.arange, output.shape)).tolist():
        group = c // (channels // group_size)
        for i in range(kernel_size):
            for j in range(kernel_size):
                row = y // scale_factor + i - radius
                column = x // scale_factor + j - radius
                if 0 <= row < height and 0 <= column < width:
                    kernel = masks[n, (group * kernel_size + i) * kernel_size + j, y, x]
                    output[n, c, y, x] += kernel * features[n, c, row, column]
    return output


def ms_deform_attn(value, shapes, locations, weights):
    num, queries, heads, _levels, points = weights.shape
    channels = value.size(3)
    output = value.new_zeros(num, queries, heads, channels)
    start = 0
    for level, (height, width) in enumerate(shapes.tolist()):
        maps = value[:, start : start + height * width]
        maps = maps.view(num, height, width, heads, channels)
        start += height * width
        for n, q, h, d in torch.cartesian_prod(
            *map(torch.arange, output.shape)
        ).tolist():
            for p in range(points):
                x, y = locations[n, q, h, level, p].tolist()
                sample = bilinear(
                    maps[n, :, :, h, d], y * height - 0.5, x * width - 0.5
                )
                output[n, q, h, d] += float(weights[n, q, h, level, p]) * sample
    return output.flatten(2)
