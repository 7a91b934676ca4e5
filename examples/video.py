# %% [markdown]
# # A video
#
# Predict over a video frame by frame: once with files as the result, once in Python. It is
# drawn here, and the detector is the one that `examples/quickstart.py` trains; run that
# first. Any video and any detector go in their places:
# `python examples/video.py CONFIG CHECKPOINT VIDEO`.

# %%
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from mmeff.apis.predict import predict
from mmeff.deploy import load

OUT = Path('work_dirs/video')
QUICKSTART = Path('work_dirs/quickstart/run')

# %% [markdown]
# ## A video to look at
#
# Two shapes that cross each other: 24 frames of 64x64 pixels.


# %%
def draw_video(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 12, (64, 64))
    for step in range(24):
        frame = np.full((64, 64, 3), 90, np.uint8)
        cv2.circle(frame, (8 + 2 * step, 20), 8, (40, 60, 220), -1)
        cv2.rectangle(
            frame, (48 - 2 * step, 38), (62 - 2 * step, 52), (60, 200, 80), -1
        )
        writer.write(frame)
    writer.release()
    return path


if len(sys.argv) == 4:
    config, checkpoint, video = map(Path, sys.argv[1:])
else:
    config, checkpoint = next(QUICKSTART.glob('*.py')), QUICKSTART / 'last_checkpoint'
    checkpoint, video = Path(checkpoint.read_text()), draw_video(OUT / 'shapes.avi')

# %% [markdown]
# ## As files
#
# One call writes the video with its boxes, and all boxes in COCO format.

# %%
summary = predict(config, checkpoint, video, OUT / 'outputs', pred_score_thr=0.1)
print(f'{summary.num_boxes} boxes in {summary.num_images} frames: {OUT}/outputs/vis')

# %% [markdown]
# ## In Python
#
# `stream` gives a frame and its detections at a time and keeps nothing, so a video may be as
# long as it likes. `backend='mmdet'` runs the detector as it is; others are faster.

# %%
predictor = load(config, checkpoint, backend='mmdet')
start = time.perf_counter()
scores = [s.pred_instances.scores.max().item() for _, s in predictor.stream(video)]
fps = len(scores) / (time.perf_counter() - start)
best = int(np.argmax(scores))
print(
    f'{fps:.0f} frames a second; the surest box, {scores[best]:.2f}, is in frame {best}'
)
