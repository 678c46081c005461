"""Train the variants of DF-MVR.

needs   results/align/{dataset}/, results/parse/{dataset}/     crops, landmarks, masks, weight maps
        results/face_model/face_model.npz, results/parse/parser.safetensors
        the baselines' ImageNet weights and embedding, where the configuration names them
gives   results/train/{method}/weights.safetensors             the network after the last epoch
        results/train/{method}/metrics.csv                     every loss at every step
        results/train/{method}/checkpoints/                    where a stopped run goes on from, and what one that
                                                               has ended takes its network from if nothing changed
        results/train/{method}/parts.csv                       what its parts have cost, for the report
"""


rule train_variant:
    """Train one variant; a run that was stopped goes on from its last checkpoint."""
    input:
        code=lambda wildcards: code(
            "train.command", f"train.methods.{study.kind_of(wildcards.method)}"
        ),
        aligned=lambda wildcards: f"<results>/align/{TRAINED_ON[wildcards.method]}",
        parsed=lambda wildcards: f"<results>/parse/{TRAINED_ON[wildcards.method]}",
        model="<results>/face_model/face_model.npz",
        parser="<results>/parse/parser.safetensors",
        public=lambda wildcards: study.variant(wildcards.method).files,
        checked=lambda wildcards: checked(
            *["resnet50"] * bool(study.variant(wildcards.method).files)
        ),
    output:
        weights="<results>/train/{method}/weights.safetensors",
        metrics="<results>/train/{method}/metrics.csv",
    log:
        "<logs>/train/{method}.log",
    benchmark:
        "<benchmarks>/train/{method}.jsonl"
    wildcard_constraints:
        method=ONE_TRAINED,
    priority: 10
    threads: 1
    resources:
        gpu=lambda wildcards: study.variant(wildcards.method).gpus,
        gpu_training=lambda wildcards: int(study.variant(wildcards.method).gpus > 0),
        mem_mb=lambda wildcards: 16000 if study.variant(wildcards.method).gpus else 3000,
        runtime=lambda wildcards: study.variant(wildcards.method).minutes,
    params:
        program=lambda wildcards, resources: (
            f"torchrun --standalone --nproc-per-node {resources.gpu} -m dfmvr"
            if resources.gpu > 1
            else "dfmvr"
        ),
        settings=lambda wildcards: study.training(wildcards.method),
    message:
        "Train {wildcards.method}"
    shell:
        "{params.program} train --settings {params.settings:q} --align {input.aligned:q} --parse {input.parsed:q}"
        " --face-model {input.model:q} --parser {input.parser:q} --threads {threads}"
        " --weights {output.weights:q} --metrics {output.metrics:q} &> {log:q}"
