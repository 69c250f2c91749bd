"""Embeddings of views: made once by the model's own backend and kept in the cache that everything shares."""

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from segany.predict.image import Predictor
from segany.schema import Image
from segany.sources import open_image
from segany.train.data import Sample
from segany.train.views import View, draw_view

__all__ = ["Embeddings"]

_HELD = 256


class Embeddings:
    """Embeddings of samples' views, from memory, from the cache, or made."""

    def __init__(self, predictor: Predictor, views: int, seed: int) -> None:
        """Set up.

        Args:
            predictor: Of the model that is tuned; with a cache.
            views: Variants of each image; the first is the image itself.
            seed: Of the others.
        """
        self._predictor, self._views, self._seed = predictor, views, seed
        self._held: OrderedDict[tuple[str, int], Tensor] = OrderedDict()

    def view(self, place: int, number: int) -> View:
        """A sample's view by number, from 0."""
        return View() if number == 0 else draw_view((self._seed, 2, place, number))

    def of_sample(self, sample: Sample, place: int, number: int) -> Tensor:
        """[1, E, S, S] float32 on the CPU.

        Args:
            sample: At that place of its side of the split.
            place: The place.
            number: Of the view.
        """
        return self.of_image(f"{sample.name} {place}", sample.entry.open, self.view(place, number), number)

    def of_image(self, key: str, read: Callable[[], Image], view: View | None = None, number: int = 0) -> Tensor:
        """[1, E, S, S] float32 on the CPU, of an image as it is or of a view of it."""
        if (key, number) in self._held:
            self._held.move_to_end((key, number))
            return self._held[key, number]
        image = read()
        if view is not None and view != View():
            image = open_image(np.ascontiguousarray(view.of_image(image.pixels)))
        elif image.info.digest is None:
            image = open_image(image.pixels)
        embedding = self._predictor.embed(image)
        made = torch.from_numpy(np.array(embedding.features.to_numpy()["embedding"], dtype=np.float32))
        self._held[key, number] = made
        if len(self._held) > _HELD:
            self._held.popitem(last=False)
        return made
