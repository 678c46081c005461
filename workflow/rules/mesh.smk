"""Make the scans of every data set alike: meshes and landmarks in mm, of range images by Delaunay triangulation.

needs   results/simulate/{dataset}/ or its root         scans as they were delivered
gives   results/mesh/{dataset}/scans/                   meshes and landmarks of the scans of test samples
        results/mesh/{dataset}/landmarks_101.npz        landmarks of all scans, for L_l3d
        results/mesh/{dataset}/scans.csv                one row a scan, those set aside with the reason
"""


rule normalise_scans:
    """Make the scans of a data set alike."""
    input:
        code=lambda wildcards: code(
            "mesh.command", f"mesh.{layout_of(wildcards.dataset)}"
        ),
        data=lambda wildcards: data_of(wildcards.dataset),
        checked=lambda wildcards: checked(wildcards.dataset),
    output:
        scans=directory("<results>/mesh/{dataset}/scans"),
        landmarks="<results>/mesh/{dataset}/landmarks_101.npz",
        table="<results>/mesh/{dataset}/scans.csv",
    log:
        "<logs>/mesh/{dataset}.log",
    benchmark:
        "<benchmarks>/mesh/{dataset}.jsonl"
    params:
        # only range images are triangulated
        settings=lambda wildcards: (
            study.mesh.as_json() if wildcards.dataset == "bosphorus" else "{}"
        ),
        format=lambda wildcards: layout_of(wildcards.dataset),
        reading=lambda wildcards: study.datasets.reading(wildcards.dataset),
        listing=lambda wildcards: listing_of(
            *study.datasets.files_of(wildcards.dataset)
        ),
    message:
        "Make the scans of {wildcards.dataset} alike"
    shell:
        "dfmvr mesh --settings {params.settings:q} --data {input.data:q} --format {params.format}"
        " --reading {params.reading:q} --output $(dirname {output.table:q}) &> {log:q}"
