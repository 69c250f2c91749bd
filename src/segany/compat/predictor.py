"""SamPredictor: set an image, then ask for masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segany.compat.sam import Sam
from segany.compat.transforms import ResizeLongestSide
from segany.errors import ConfigError, ImageError, InputError, PromptError
from segany.model.tiny_vit import TinyViT

__all__ = ["ImageNotSetError", "SamPredictor"]


class ImageNotSetError(InputError, RuntimeError):
    """Masks or features were asked for before an image was set; a RuntimeError, as scripts expect."""


class SamPredictor:
    """Holds one image's embedding and predicts masks from it.

    New code is better served by `segany.Predictor`, which keeps no image and so cannot mix two.

    Attributes:
        model: The model.
        transform: Maps images, points and boxes into the model's frame.
        is_image_set: Whether there is an image.
        features: [1, 256, 64, 64] embedding of the image, or None.
        original_size: (H, W) of the image, or None.
        input_size: (h, w) of the resized image, or None.
    """

    def __init__(self, sam_model: Sam) -> None:
        """Predict with this model.

        Args:
            sam_model: From `sam_model_registry`.
        """
        self.model = sam_model
        self.transform = ResizeLongestSide(sam_model.image_encoder.img_size)
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set = False
        self.features: Tensor | None = None
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """Embed an image.

        Args:
            image: [H, W, 3] uint8.
            image_format: "RGB" or "BGR".

        Raises:
            ConfigError: Another format.
            ImageError: Another shape or dtype.
        """
        if image_format not in ("RGB", "BGR"):
            raise ConfigError(f"image_format must be RGB or BGR, got {image_format!r}.")
        if image_format != self.model.image_format:
            image = image[..., ::-1]
        resized = torch.as_tensor(self.transform.apply_image(image), device=self.device)
        self.set_torch_image(resized.permute(2, 0, 1).contiguous()[None], image.shape[:2])

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: Sequence[int]) -> None:
        """Embed an image that is already resized.

        Args:
            transformed_image: [1, 3, h, w] of 0..255, the long side at the model's input side.
            original_image_size: (H, W) before resizing.

        Raises:
            ImageError: Another shape.
        """
        side = self.model.image_encoder.img_size
        shape = transformed_image.shape
        if len(shape) != 4 or shape[1] != 3 or max(shape[2:]) != side:
            raise ImageError(f"a transformed image must be [1, 3, h, w] with the long side {side}, got {list(shape)}.")
        self.reset_image()
        height, width = original_image_size
        self.original_size = (int(height), int(width))
        self.input_size = (shape[2], shape[3])
        self.features = self._encode(self.model.preprocess(transformed_image))
        self.is_image_set = True

    def _encode(self, pixels: Tensor) -> Tensor:
        encoder = self.model.image_encoder
        if not isinstance(encoder, TinyViT) or encoder.training:
            return self.model.image_encoder(pixels)  # type: ignore[no-any-return]
        # Folded for this image only: it costs milliseconds, and a script may tune the parameters before the next.
        encoder.fuse()
        try:
            features: Tensor = encoder(pixels)
            return features
        finally:
            encoder.unfuse()

    def predict(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        box: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Masks for one prompt.

        Args:
            point_coords: [N, 2] (x, y), original pixels.
            point_labels: [N], 1 on the object and 0 off it.
            box: [4] XYXY, original pixels.
            mask_input: [1, 256, 256] logits of an earlier prediction.
            multimask_output: Three masks (whole, part, subpart) instead of the single one.
            return_logits: Logits instead of binary masks.

        Returns:
            Masks [C, H, W] bool (or float32 logits) in original pixels, predicted IoU [C], and low-resolution logits
            [C, 256, 256] to feed back as `mask_input`.

        Raises:
            ImageNotSetError: No image was set.
            PromptError: Points without labels, or several boxes.
        """
        _, original_size, _ = self._image()
        coords, labels, boxes, masks = None, None, None, None
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("point_labels must come with point_coords: 1 on the object, 0 off it; got none.")
            mapped = self.transform.apply_coords(point_coords, original_size)
            coords = torch.as_tensor(mapped, dtype=torch.float, device=self.device)[None]
            labels = torch.as_tensor(point_labels, dtype=torch.int, device=self.device)[None]
        if box is not None:
            mapped = self.transform.apply_boxes(box, original_size)
            if len(mapped) != 1:
                raise PromptError(f"predict takes one box [4], got {len(mapped)}; give several to predict_torch.")
            boxes = torch.as_tensor(mapped, dtype=torch.float, device=self.device)
        if mask_input is not None:
            masks = torch.as_tensor(mask_input, dtype=torch.float, device=self.device)[None]
        results = self.predict_torch(coords, labels, boxes, masks, multimask_output, return_logits)
        full, iou_predictions, low_res = (result[0].cpu().numpy() for result in results)
        return full, iou_predictions, low_res

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks for B prompts of the image, all of one kind.

        Args:
            point_coords: [B, N, 2] (x, y), model pixels (see `transform`).
            point_labels: [B, N], 1 on the object and 0 off it.
            boxes: [B, 4] XYXY, model pixels.
            mask_input: [B, 1, 256, 256] logits of an earlier prediction.
            multimask_output: Three masks for each prompt instead of one.
            return_logits: Logits instead of binary masks.

        Returns:
            Masks [B, C, H, W] bool (or logits) in original pixels, predicted IoU [B, C], and low-resolution logits
            [B, C, 256, 256].

        Raises:
            ImageNotSetError: No image was set.
            PromptError: Points without labels.
        """
        features, original_size, input_size = self._image()
        points = None
        if point_coords is not None:
            if point_labels is None:
                raise PromptError("point_labels must come with point_coords: 1 on the object, 0 off it; got none.")
            points = (point_coords, point_labels)
        low_res, iou_predictions = self.model.decode(features, points, boxes, mask_input, multimask_output)
        masks = self.model.postprocess_masks(low_res, input_size, original_size)
        return masks if return_logits else masks > self.model.mask_threshold, iou_predictions, low_res

    def get_image_embedding(self) -> Tensor:
        """[1, 256, 64, 64]: the embedding of the image.

        Raises:
            ImageNotSetError: No image was set.
        """
        features, _, _ = self._image()
        return features

    def _image(self) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
        if self.features is None or self.original_size is None or self.input_size is None:
            raise ImageNotSetError("no image is set; call set_image before asking for masks or the embedding.")
        return self.features, self.original_size, self.input_size
