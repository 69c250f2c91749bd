"""Sam: the model with the methods and keyword arguments that scripts for the reference call."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segany import model
from segany.model.mask_decoder import MaskDecoder
from segany.model.prompt_encoder import PromptEncoder
from segany.schema import BOX_CORNERS, PADDING

__all__ = ["Sam"]

# Prompts decoded at once on a CPU: each holds 4096 x 256 keys, and more would leave the processor's cache.
_CPU_PROMPTS = 4


class CompatPromptEncoder(PromptEncoder):
    """The prompt encoder, called with points, boxes and masks."""

    def get_dense_pe(self) -> Tensor:
        """[1, 256, 64, 64]: the position of every cell of the image embedding."""
        return self.dense_pe()

    def forward(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Encode B prompts.

        Args:
            points: [B, N, 2] (x, y) in model pixels, and their labels [B, N]; or None.
            boxes: [B, 4] XYXY in model pixels, or None.
            masks: [B, 1, 256, 256] logits, or None.

        Returns:
            Sparse [B, T, 256] and dense [B, 256, 64, 64] embeddings.
        """
        device = self.no_mask_embed.weight.device
        count = next((len(given) for given in (points and points[0], boxes, masks) if given is not None), 1)
        coords = [torch.empty((count, 0, 2), device=device)]
        labels = [torch.empty((count, 0), dtype=torch.int64, device=device)]
        if points is not None:
            coords.append(points[0])
            labels.append(points[1])
            if boxes is None:
                coords.append(coords[0].new_zeros((count, 1, 2)))
                labels.append(labels[0].new_full((count, 1), PADDING))
        if boxes is not None:
            coords.append(boxes.reshape(count, 2, 2))
            labels.append(torch.tensor(BOX_CORNERS, device=device).expand(count, 2))
        sparse = self.sparse(torch.cat(coords, dim=1), torch.cat(labels, dim=1))
        dense = self.dense(None if masks is None else masks[:, 0])
        return sparse, dense.expand(count, -1, -1, -1)


class CompatMaskDecoder(MaskDecoder):
    """The mask decoder, which gives one mask or three."""

    def forward(  # type: ignore[override]
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Predict the masks of B prompts.

        Args:
            image_embeddings: [1 or B, 256, 64, 64].
            image_pe: [1, 256, 64, 64] of `get_dense_pe`.
            sparse_prompt_embeddings: [B, T, 256].
            dense_prompt_embeddings: [B, 256, 64, 64].
            multimask_output: Three masks (whole, part, subpart) instead of the single one.

        Returns:
            Logits [B, C, 256, 256] and predicted IoU [B, C], C being 3 or 1.
        """
        wanted = [1, 2, 3] if multimask_output else [0]
        count = len(sparse_prompt_embeddings)
        step = _CPU_PROMPTS if sparse_prompt_embeddings.device.type == "cpu" else max(count, 1)
        masks, iou_predictions = [], []
        for start in range(0, max(count, 1), step):
            part = slice(start, start + step)
            image = image_embeddings if len(image_embeddings) == 1 else image_embeddings[part]
            decoded = self.tokens(image, image_pe, sparse_prompt_embeddings[part], dense_prompt_embeddings[part])
            masks.append(self.masks(decoded.mask_tokens, decoded.keys, wanted))
            iou_predictions.append(decoded.iou_predictions[:, wanted])
        return torch.cat(masks), torch.cat(iou_predictions)


class Sam(model.Sam):
    """The model as the reference has it: attributes, methods and parameter names.

    Attributes:
        mask_threshold: Logits above it are the object.
        image_format: Order of the channels that the model reads.
        pixel_mean: [3, 1, 1], RGB, 0..255.
        pixel_std: [3, 1, 1], RGB, 0..255.
    """

    mask_threshold: float = 0.0
    image_format: str = "RGB"

    def __init__(self, sam: model.Sam) -> None:
        """Take over a model's parameters; they are shared, not copied."""
        torch.nn.Module.__init__(self)
        self.config = sam.config
        encoder: Any = sam.image_encoder
        encoder.img_size = sam.config.input_side
        self.image_encoder: Any = encoder
        with torch.device("meta"):
            self.prompt_encoder: CompatPromptEncoder = CompatPromptEncoder(sam.config)
            self.mask_decoder: CompatMaskDecoder = CompatMaskDecoder(sam.config)
        self.prompt_encoder.load_state_dict(sam.prompt_encoder.state_dict(keep_vars=True), assign=True)
        self.mask_decoder.load_state_dict(sam.mask_decoder.state_dict(keep_vars=True), assign=True)
        # Not part of the published files, so not of the state dict.
        preprocess = sam.config.preprocess
        self.register_buffer("pixel_mean", torch.tensor(preprocess.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(preprocess.std).view(3, 1, 1), persistent=False)
        self.pixel_mean: Tensor
        self.pixel_std: Tensor
        self.train(sam.training)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    @torch.no_grad()
    def forward(self, batched_input: Sequence[Mapping[str, Any]], multimask_output: bool) -> list[dict[str, Tensor]]:
        """Predict masks from images and prompts in one go.

        Args:
            batched_input: One mapping for each image: `image` [3, h, w], resized by `ResizeLongestSide`;
                `original_size` (H, W); and, each only if there is such a prompt, in model pixels: `point_coords`
                [B, N, 2] with `point_labels` [B, N], `boxes` [B, 4], `mask_inputs` [B, 1, 256, 256].
            multimask_output: Three masks for each prompt instead of one.

        Returns:
            For each image: `masks` [B, C, H, W] bool in original pixels, `iou_predictions` [B, C] and
            `low_res_logits` [B, C, 256, 256].
        """
        embeddings = self.image_encoder(torch.stack([self.preprocess(record["image"]) for record in batched_input]))
        outputs = []
        for record, embedding in zip(batched_input, embeddings, strict=True):
            points = (record["point_coords"], record["point_labels"]) if "point_coords" in record else None
            logits, iou_predictions = self.decode(
                embedding[None], points, record.get("boxes"), record.get("mask_inputs"), multimask_output
            )
            masks = self.postprocess_masks(logits, record["image"].shape[-2:], record["original_size"])
            outputs.append(
                {
                    "masks": masks > self.mask_threshold,
                    "iou_predictions": iou_predictions,
                    "low_res_logits": logits,
                }
            )
        return outputs

    def decode(
        self,
        embedding: Tensor,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]:
        """Run prompt encoder and mask decoder; arguments and results as theirs."""
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
        decoded: tuple[Tensor, Tensor] = self.mask_decoder(
            image_embeddings=embedding,
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
        )
        return decoded

    def postprocess_masks(self, masks: Tensor, input_size: Sequence[int], original_size: Sequence[int]) -> Tensor:
        """Enlarge logits to the original image, without the padding.

        Args:
            masks: [B, C, 256, 256].
            input_size: (h, w) of the resized image, model pixels.
            original_size: (H, W) of the original.

        Returns:
            [B, C, H, W] logits, original pixels.
        """
        side = self.image_encoder.img_size
        masks = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
        masks = masks[..., : input_size[0], : input_size[1]]
        return F.interpolate(masks, tuple(original_size), mode="bilinear", align_corners=False)

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalise [..., 3, h, w] of 0..255 and pad it with zeros to [..., 3, S, S]."""
        side = self.image_encoder.img_size
        height, width = x.shape[-2:]
        return F.pad((x - self.pixel_mean) / self.pixel_std, (0, side - width, 0, side - height))
