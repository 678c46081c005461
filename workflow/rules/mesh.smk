"""Turn range images into triangle meshes by Delaunay triangulation.

needs   results/simulate/bosphorus/ or its root    .bnt with .lm3
gives   results/mesh/bosphorus/                    {scan}.ply and {scan}.landmarks.csv of every scan that is ground truth
"""


rule mesh_scans:
    """Mesh the scans of Bosphorus that are the ground truth."""
    input:
        code=code("mesh.command"),
        data=data_of("bosphorus"),
        checked=checked(study.datasets.bosphorus.root),
    output:
        directory("<results>/mesh/bosphorus"),
    log:
        "<logs>/mesh/bosphorus.log",
    benchmark:
        "<benchmarks>/mesh/bosphorus.jsonl"
    params:
        settings=study.mesh.as_json(),
        reading=study.datasets.reading("bosphorus"),
    message:
        "Mesh the scans of bosphorus"
    shell:
        "dfmvr mesh --settings {params.settings:q} --data {input.data:q} --reading {params.reading:q}"
        " --output {output:q} &> {log:q}"
