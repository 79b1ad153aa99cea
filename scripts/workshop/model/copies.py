"""Pictures as a camera gives them by night: what scripts/evaluate calls `infra-red`, for the gate on accuracy.

The numbers are those of scripts/workshop/evaluate/degradations.ts, and the steps those of ffmpeg's filters that it names
(vf_eq, vf_vignette, vf_gblur, vf_noise), on the luma of video, 16 to 235. What is left out is the film's encoding.
"""
import cv2
import numpy as np

# A lamp beside the lens lights the middle, without colour, at full gain.
GAMMA = 0.6
CONTRAST = 0.7
VIGNETTE_ANGLE = np.pi / 4
BLUR_SHARE = 1 / 400  # of the width: one pixel of the detector
NOISE_SIGMA = 8
SEED = 11
BLACK, WHITE = 16, 235  # of luma


def infra_red(pictures):
    """Copies of BGR pictures with even sides, one after another; noise differs from picture to picture, not from run to run."""
    random = np.random.default_rng(SEED)
    curve = _curve()
    falloff = None
    for picture in pictures:
        height, width = picture.shape[:2]
        if falloff is None or falloff.shape != (height, width):
            falloff = _falloff(width, height)
        grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        luma = curve[np.rint(grey * ((WHITE - BLACK) / 255) + BLACK).astype(np.uint8)] * falloff
        luma = cv2.GaussianBlur(luma, (0, 0), width * BLUR_SHARE)
        # A sensor's noise has colours, where the picture has none; at half the size, as video has them.
        colours = np.full((height // 2, width), 128, np.float32)
        video = np.concatenate([luma, colours])
        video += NOISE_SIGMA * random.standard_normal(video.shape, np.float32)
        yield cv2.cvtColor(np.clip(np.rint(video), 0, 255).astype(np.uint8), cv2.COLOR_YUV2BGR_I420)


def _curve():
    """Contrast around the middle, then gamma, for each level: the table of vf_eq."""
    levels = CONTRAST * (np.arange(256) / 255 - 0.5) + 0.5
    return (255 * np.clip(levels, 0, 1) ** (1 / GAMMA)).astype(np.float32)


def _falloff(width, height):
    """The cosine to the fourth of the angle to the middle, which is VIGNETTE_ANGLE in the corners."""
    x, y = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    apart = np.hypot(x, y) / np.hypot(width / 2, height / 2)
    return (np.cos(VIGNETTE_ANGLE * apart) ** 4).astype(np.float32)
