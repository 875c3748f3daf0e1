"""Files of tables with columns of any kind, larger than memory or not."""

from delvm_tf.datasets.tables.table_files import TableChunk, TableFiles, open_table

__all__ = ["TableChunk", "TableFiles", "open_table"]
