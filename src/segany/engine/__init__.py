"""The data engine: the model proposes, people decide, and what they decide makes the next model.

Parts are imported from their modules: `stages` (what is done), `tasks` and `priority` (who is asked what), `quality`
(second looks, gold questions), `reviews` (what is learned from decisions), `rounds` and `promotion` (the next model),
`classes` and `exemplars` (names, and more of the same), `annotator` and `simulation` (what a loop costs).
"""

from segany.engine.workspace import open_store

__all__ = ["open_store"]
