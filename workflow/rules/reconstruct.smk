"""Reconstruct the test samples with every method.

needs   results/align/{dataset}/, results/parse/{dataset}/, results/face_model/face_model.npz
        results/train/{method}/weights.safetensors for a trained method, the scans for the floor
gives   results/reconstruct/{method}/{dataset}/   coefficients.npz, meshes/{sample}.ply and .landmarks.csv; of a network
                                                  inference.json, how long a sample takes
"""

from dfmvr.networks.kinds import NETWORKS


rule reconstruct_samples:
    """Reconstruct with a trained network."""
    input:
        code=lambda wildcards: code(
            "reconstruct.dataset", NETWORKS[study.kind_of(wildcards.method)].module
        ),
        aligned="<results>/align/{dataset}",
        parsed="<results>/parse/{dataset}",
        model="<results>/face_model/face_model.npz",
        weights=lambda wildcards: f"<results>/train/{read_key(wildcards.method).training}/weights.safetensors",
    output:
        directory("<results>/reconstruct/{method}/{dataset}"),
    log:
        "<logs>/reconstruct/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/reconstruct/{method}_{dataset}.jsonl"
    wildcard_constraints:
        method=ANSWERING,
    params:
        view=lambda wildcards: (
            f"--view {view}" if (view := read_key(wildcards.method).view) else ""
        ),
    message:
        "Reconstruct {wildcards.dataset} with {wildcards.method}"
    shell:
        "dfmvr reconstruct dataset --align {input.aligned:q} --parse {input.parsed:q} --face-model {input.model:q}"
        " --checkpoint {input.weights:q} {params.view} --output {output:q} &> {log:q}"


rule fit_samples:
    """Fit what a trained network answered to the photographs."""
    input:
        code=lambda wildcards: code("reconstruct.fitted", reader_of(wildcards.dataset)),
        data=lambda wildcards: data_of(wildcards.dataset),
        aligned="<results>/align/{dataset}",
        parsed="<results>/parse/{dataset}",
        model="<results>/face_model/face_model.npz",
        answers=lambda wildcards: f"<results>/reconstruct/{read_key(wildcards.method).answers.key}/{wildcards.dataset}",
    output:
        directory("<results>/reconstruct/{method}/{dataset}"),
    log:
        "<logs>/reconstruct/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/reconstruct/{method}_{dataset}.jsonl"
    wildcard_constraints:
        method=FITTED,
    params:
        view=lambda wildcards: (
            f"--view {view}" if (view := read_key(wildcards.method).view) else ""
        ),
        layout=lambda wildcards: layout_of(wildcards.dataset),
        reading=lambda wildcards: study.datasets.reading(wildcards.dataset),
        listing=lambda wildcards: listing_of(
            *study.datasets.files_of(wildcards.dataset)
        ),
    message:
        "Fit {wildcards.method} to {wildcards.dataset}"
    shell:
        "dfmvr reconstruct fitted --answers {input.answers:q} --align {input.aligned:q} --parse {input.parsed:q}"
        " --data {input.data:q} --layout {params.layout} --reading {params.reading:q} --face-model {input.model:q}"
        " {params.view} --output {output:q} &> {log:q}"


rule predict_mean_face:
    """Predict the mean face for every sample: the trivial method."""
    input:
        code=code("reconstruct.mean_face"),
        aligned="<results>/align/{dataset}",
        model="<results>/face_model/face_model.npz",
    output:
        directory("<results>/reconstruct/mean_face/{dataset}"),
    log:
        "<logs>/reconstruct/mean_face_{dataset}.log",
    message:
        "Predict the mean face for {wildcards.dataset}"
    shell:
        "dfmvr reconstruct mean_face --align {input.aligned:q} --face-model {input.model:q}"
        " --output {output:q} &> {log:q}"


rule fit_floor:
    """Fit the face model to the scans themselves: no method with this model can do better."""
    input:
        code=code("reconstruct.floor"),
        aligned="<results>/align/{dataset}",
        scans="<results>/mesh/{dataset}/scans",
        model="<results>/face_model/face_model.npz",
    output:
        directory("<results>/reconstruct/floor/{dataset}"),
    log:
        "<logs>/reconstruct/floor_{dataset}.log",
    benchmark:
        "<benchmarks>/reconstruct/floor_{dataset}.jsonl"
    params:
        protocol=study.register_.protocols["paper"].as_json(
            include={"crop", "crop_radius_mm"}
        ),
    message:
        "Fit the face model to the scans of {wildcards.dataset}"
    shell:
        "dfmvr reconstruct floor --set register.protocols.paper={params.protocol:q} --face-model {input.model:q}"
        " --manifest {input.aligned:q}/manifest.parquet"
        " --output {output:q} &> {log:q}"


rule reconstruct_real_scan:
    """Reconstruct the photographed head scan with a trained network, as a person's own photographs."""
    input:
        code=code("reconstruct.command"),
        photographs="<results>/simulate/real_scan",
        model="<results>/face_model/face_model.npz",
        parser="<results>/parse/parser.safetensors",
        weights=lambda wildcards: f"<results>/train/{read_key(wildcards.method).training}/weights.safetensors",
    output:
        directory("<results>/reconstruct/{method}/real_scan"),
    log:
        "<logs>/reconstruct/{method}_real_scan.log",
    wildcard_constraints:
        method=ONE_TESTED,
    params:
        fast=lambda wildcards: (
            "" if read_key(wildcards.method).variant.fits else "--fast"
        ),
    message:
        "Reconstruct the head scan with {wildcards.method}"
    shell:
        "dfmvr reconstruct --left {input.photographs:q}/left.jpg --front {input.photographs:q}/front.jpg"
        " --right {input.photographs:q}/right.jpg --landmarks {input.photographs:q}/left.txt"
        " {input.photographs:q}/front.txt {input.photographs:q}/right.txt --face-model {input.model:q}"
        " --parser {input.parser:q} --checkpoint {input.weights:q} {params.fast} --format ply --output {output:q}"
        " &> {log:q}"


rule predict_mean_face_of_scan:
    """Predict the mean face for the head scan."""
    input:
        code=code("reconstruct.mean_face"),
        model="<results>/face_model/face_model.npz",
    output:
        directory("<results>/reconstruct/mean_face/real_scan"),
    log:
        "<logs>/reconstruct/mean_face_real_scan.log",
    message:
        "Predict the mean face for the head scan"
    shell:
        "dfmvr reconstruct mean_face --face-model {input.model:q} --output {output:q} &> {log:q}"
