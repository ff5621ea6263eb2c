"""The panels of a command's help: options by subject, the common ones first; an option has one panel everywhere."""

PANELS: dict[str, tuple[str, ...]] = {
    "Common options": (
        *("text", "pair", "label", "target", "columns", "task", "validation", "tokenizer", "max_length"),
        *("model", "strategy", "epochs", "lr", "base_batch_size", "batch_size", "tasks", "seed", "seeds"),
        *("profile", "split", "out", "resume"),
    ),
    "Data": (
        *("dataset", "label_type", "label_names", "label_separator", "prefix", "stride", "max_target_length"),
        *("mirror", "drop_duplicates", "keep_out", "skip_bad_rows", "delimiter", "quote", "no_header", "encoding"),
    ),
    "Words that may be dropped": ("stopwords", "keep", "forbid_drop"),
    "Shown": ("samples", "percent", "epoch", "label_errors", "scores"),
    "Strategy": (
        *("baseline", "batches", "drop", "drop_rate", "allow_drop", "execution", "bucket_width", "grid_lengths"),
        *("rbm", "lrm", "scaling_factor", "batch_cap", "sort_targets", "micro_batches", "devices"),
        *("caps", "max_tokens", "max_pairs"),
    ),
    "Model": ("dropout", "lora", "freeze_layers"),
    "Embeddings and rerankers": (
        *("loss", "temperature", "margin", "pooling", "normalize", "dimensions", "keep_repeats", "float16"),
    ),
    "Training": ("warmup", "lr_scheduler", "weight_decay", "keep_samples", "data_diet"),
    "Conditions": ("remove", "edits", "draws", "time", "flips", "max_flips"),
    "Search": ("space", "trials", "prune", "storage"),
    "Measurement": ("steps", "runs"),
    "Device and memory": ("precision", "attention", "memory", "checkpoint_activations", "compiled"),
    "Machines": ("engine", "ray_address", "work"),
    "Logging and energy": ("track", "energy", "country"),
    "Checkpoints": ("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints"),
    "Hub": ("hub_push", "license_id", "private", "no_upload"),
    "Output": ("files", "html", "rows", "overwrite", "as_json"),
    "Other options": ("config", "debug", "help"),
}
