"""Register the reconstructions to the scans.

needs   results/reconstruct/{method}/{dataset}/    meshes with seven landmarks
        results/simulate/{dataset}/                scans with landmarks
gives   results/register/{method}/{dataset}.npz    transform from each prediction to its scan
"""


rule register_meshes:
    """Register by seven points, then by ICP on the front of the face."""
    input:
        code=code("register", "geometry"),
        data="<results>/simulate/{dataset}",
        meshes="<results>/reconstruct/{method}/{dataset}",
    output:
        "<results>/register/{method}/{dataset}.npz",
    log:
        "<logs>/register/{method}_{dataset}.log",
    benchmark:
        "<benchmarks>/register/{method}_{dataset}.jsonl"
    params:
        settings=section("register"),
    message:
        "Register {wildcards.method} to the scans of {wildcards.dataset}"
    shell:
        "dfmvr register --settings {params.settings:q} --meshes {input.meshes:q}/meshes --data {input.data:q}"
        " --output {output:q} &> {log:q}"
