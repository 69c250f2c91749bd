"""The first tables, and the triggers that keep the audit log as it was written."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None


def _big_int() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "categories",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("supercategory", sa.Text(), nullable=True),
        sa.Column("color", sa.Text(), nullable=True),
        sa.Column("position", _big_int(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "counters",
        sa.Column("id", _big_int(), autoincrement=False, nullable=False),
        sa.Column("revision", _big_int(), nullable=False),
        sa.Column("image", _big_int(), nullable=False),
        sa.Column("mask", _big_int(), nullable=False),
        sa.Column("annotation", _big_int(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "events",
        sa.Column("id", _big_int(), nullable=False),
        sa.Column("at", _big_int(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("image_id", _big_int(), nullable=True),
        sa.Column("revision", _big_int(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_events_image", "events", ["image_id"], unique=False)
    op.create_index("ix_events_kind", "events", ["kind"], unique=False)
    op.create_table(
        "images",
        sa.Column("id", _big_int(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("height", _big_int(), nullable=False),
        sa.Column("width", _big_int(), nullable=False),
        sa.Column("channels", _big_int(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("source_digest", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("group_name", sa.Text(), nullable=True),
        sa.Column("origin_key", sa.LargeBinary(), nullable=False),
        sa.Column("near_group", _big_int(), nullable=False),
        sa.Column("revision", _big_int(), nullable=False),
        sa.Column("since", _big_int(), nullable=False),
        sa.Column("until", _big_int(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_images_digest", "images", ["digest"], unique=False)
    op.create_index("ix_images_near_group", "images", ["near_group"], unique=False)
    op.create_index("ix_images_origin_key", "images", ["origin_key"], unique=False)
    op.create_index("ix_images_since", "images", ["since"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", _big_int(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.Double(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("image_id", _big_int(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("lease_until", _big_int(), nullable=True),
        sa.Column("attempts", _big_int(), nullable=False),
        sa.Column("max_attempts", _big_int(), nullable=False),
        sa.Column("done", sa.Double(), nullable=False),
        sa.Column("total", sa.Double(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("checkpoint", sa.Text(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", _big_int(), nullable=False),
        sa.Column("started_at", _big_int(), nullable=True),
        sa.Column("finished_at", _big_int(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_jobs_image", "jobs", ["image_id"], unique=False)
    op.create_index("ix_jobs_resource", "jobs", ["resource"], unique=False)
    op.create_index("ix_jobs_state", "jobs", ["state", "priority"], unique=False)
    op.create_table(
        "masks",
        sa.Column("id", _big_int(), autoincrement=False, nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.Column("outline", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "model_cards",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("trained_on", sa.Text(), nullable=True),
        sa.Column("licence", sa.Text(), nullable=True),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("scores", sa.Text(), nullable=False),
        sa.Column("at", _big_int(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index(op.f("ix_model_cards_name"), "model_cards", ["name"], unique=False)
    op.create_table(
        "store_values",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("revision", _big_int(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "versions",
        sa.Column("id", _big_int(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", _big_int(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("records", _big_int(), nullable=False),
        sa.Column("masks", _big_int(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", _big_int(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "annotations",
        sa.Column("id", _big_int(), autoincrement=False, nullable=False),
        sa.Column("image_id", _big_int(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("mask_id", _big_int(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("review_state", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("iscrowd", sa.Boolean(), nullable=False),
        sa.Column("area", _big_int(), nullable=False),
        sa.Column("x0", sa.Double(), nullable=False),
        sa.Column("y0", sa.Double(), nullable=False),
        sa.Column("x1", sa.Double(), nullable=False),
        sa.Column("y1", sa.Double(), nullable=False),
        sa.Column("predicted_iou", sa.Double(), nullable=True),
        sa.Column("stability_score", sa.Double(), nullable=True),
        sa.Column("model_digest", sa.Text(), nullable=True),
        sa.Column("annotator", sa.Text(), nullable=True),
        sa.Column("seconds_spent", sa.Double(), nullable=True),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("created_at", _big_int(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("since", _big_int(), nullable=False),
        sa.Column("until", _big_int(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
        ),
        sa.ForeignKeyConstraint(
            ["mask_id"],
            ["masks.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_annotations_image", "annotations", ["image_id"], unique=False)
    op.create_index(
        "ix_annotations_live",
        "annotations",
        ["review_state", "image_id"],
        unique=False,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index("ix_annotations_mask", "annotations", ["mask_id"], unique=False)
    op.create_index("ix_annotations_since", "annotations", ["since"], unique=False)
    op.create_index(
        "ix_annotations_until",
        "annotations",
        ["until"],
        unique=False,
        sqlite_where=sa.text("until IS NOT NULL"),
        postgresql_where=sa.text("until IS NOT NULL"),
    )
    op.create_table(
        "known_files",
        sa.Column("source_digest", sa.Text(), nullable=False),
        sa.Column("image_id", _big_int(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
        ),
        sa.PrimaryKeyConstraint("source_digest"),
    )
    op.create_index(op.f("ix_known_files_image_id"), "known_files", ["image_id"], unique=False)
    op.create_table(
        "pixels",
        sa.Column("image_id", _big_int(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("source_digest", sa.Text(), nullable=True),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("blob_bytes", _big_int(), nullable=False),
        sa.Column("altered", sa.Boolean(), nullable=False),
        sa.Column("perceptual", sa.LargeBinary(), nullable=False),
        sa.Column("since", _big_int(), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
        ),
        sa.PrimaryKeyConstraint("image_id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_pixels_blob", "pixels", ["blob"], unique=False)
    op.create_index("ix_pixels_since", "pixels", ["since"], unique=False)
    op.create_table(
        "splits",
        sa.Column("id", _big_int(), nullable=False),
        sa.Column("image_id", _big_int(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("since", _big_int(), nullable=False),
        sa.Column("until", _big_int(), nullable=True),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_splits_image", "splits", ["image_id"], unique=False)
    op.create_index("ix_splits_since", "splits", ["since"], unique=False)
    op.execute("INSERT INTO counters (id, revision, image, mask, annotation) VALUES (1, 0, 0, 0, 0)")
    _keep_events()


def _keep_events() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER events_no_{verb.lower()} BEFORE {verb} ON events "
                "BEGIN SELECT RAISE(ABORT, 'events are append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION events_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'events are append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events "
        "FOR EACH ROW EXECUTE FUNCTION events_append_only()"
    )
