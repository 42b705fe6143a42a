"""Large values: kept by a backend (`files`, `s3`), handed in and out by `uploads`. The rows are the store's, see `blob_catalog`."""
