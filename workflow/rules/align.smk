"""Find landmarks and cut aligned crops.

needs   results/simulate/{dataset}/ or its root    photographs with landmarks
        results/mesh/{dataset}/landmarks_101.npz   3D landmarks of its scans, if they have any
        results/face_model/face_model.npz          the standard face
gives   results/align/{dataset}/images.npy         crops (N, 3, S, S, 3)
        results/align/{dataset}/samples.npz        landmarks and affine maps
        results/align/{dataset}/manifest.parquet   one row a view, those set aside with the reason
"""


rule align_dataset:
    """Align every sample to the standard face by five points."""
    input:
        code=lambda wildcards: code("align.command", reader_of(wildcards.dataset)),
        data=lambda wildcards: data_of(wildcards.dataset),
        checked=lambda wildcards: checked(wildcards.dataset, "face_alignment"),
        landmarks=lambda wildcards: (
            f"<results>/mesh/{wildcards.dataset}/landmarks_101.npz"
            if layout_of(wildcards.dataset) in layouts.LANDMARKED
            else []
        ),
        model="<results>/face_model/face_model.npz",
    output:
        directory("<results>/align/{dataset}"),
    log:
        "<logs>/align/{dataset}.log",
    benchmark:
        "<benchmarks>/align/{dataset}.jsonl"
    params:
        settings=study.align.as_json(),
        format=lambda wildcards: layout_of(wildcards.dataset),
        reading=lambda wildcards: study.datasets.reading(wildcards.dataset),
        listing=lambda wildcards: listing_of(
            *study.datasets.files_of(wildcards.dataset)
        ),
        # the manifest names the scans without a look
        scans=lambda wildcards, output: (
            f"--mesh {output[0].replace('align', 'mesh')}"
            if layout_of(wildcards.dataset) in layouts.SCANNED
            else ""
        ),
    message:
        "Align {wildcards.dataset}"
    shell:
        "dfmvr align --settings {params.settings:q} --data {input.data:q} --format {params.format} --reading {params.reading:q}"
        " {params.scans} --face-model {input.model:q}"
        " --output {output:q} &> {log:q}"
