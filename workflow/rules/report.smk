"""Make the tables, the figures and the page, of the whole study or of one table alone.

needs   the outputs of all stages
gives   results/diagrams/      the networks, drawn from code and settings
        results/report.html    everything on one page that needs no network
        results/report/        tables as CSV, LaTeX and HTML, figures
        results/table_1.html   and results/table_1/, and so on: the page of one table (`snakemake table_1`)
"""

DIAGRAMMED = {
    "face_model": {"identity_components", "expression_components", "albedo_components"},
    "align": {"image_size"},
    "parse": {"width", "output_stride"},
    "train": {
        "method": True,
        "single_view_share": True,
        "network": True,
        "loss": {
            *("photo", "mask", "landmark", "landmark_2d"),
            *("landmark_3d", "regularisation"),
        },
        "released": {"shared_lighting", "lighting", "albedo"},
    },
    "study": {"tests"},
    "variants": True,
}

for _table in COMPARISONS:

    rule:
        name:
            _table.name
        input:
            f"<results>/{_table.name}.html",


rule draw_diagrams:
    """Draw the networks of the study, which need not have been trained."""
    input:
        code=code("report.diagrams"),
    output:
        directory("<results>/diagrams"),
    log:
        "<logs>/diagrams.log",
    params:
        settings=study.as_json(include=DIAGRAMMED),
    message:
        "Draw the networks"
    shell:
        "dfmvr report diagrams --settings {params.settings:q} --output {output:q} &> {log:q}"


rule make_report:
    """Make the tables, the figures and the page."""
    input:
        code=code("report.command", *map(reader_of, layouts.MULTIVIEW)),
        model="<results>/face_model/face_model.npz",
        summary="<results>/face_model/summary.json",
        preview="<results>/face_model/preview.png",
        diagrams="<results>/diagrams",
        parser="<results>/parse/metrics.json",
        examples="<results>/parse/examples.png",
        aligned=of_data("<results>/align/{dataset}"),
        parsed=of_data("<results>/parse/{dataset}"),
        metrics=of_trainings("<results>/train/{method}/metrics.csv"),
        meshes=of_tests("<results>/reconstruct/{method}/{dataset}"),
        registrations=of_tests("<results>/register/{method}/{dataset}.npz"),
        scores=of_tests("<results>/score/{method}/{dataset}.parquet"),
        without_scans=of_held_out("<results>/reconstruct/{method}/{dataset}"),
        real_scan=of_scanned("<results>/score/{method}/real_scan.json"),
    output:
        page="<results>/{page}.html",
        tables=directory("<results>/{page}"),
    log:
        "<logs>/{page}.log",
    benchmark:
        "<benchmarks>/report/{page}.jsonl"
    wildcard_constraints:
        page="|".join(["report", *(table.name for table in COMPARISONS)]),
    threads: 2
    params:
        settings=study.report.as_json(),
        study=study.as_json(),
    message:
        "Make the page {wildcards.page}"
    shell:
        "dfmvr report --settings {params.settings:q} --study {params.study:q} --scores {input.scores:q}"
        " --benchmarks benchmarks/workflow --results $(dirname {output.page:q}) --output {output.page:q}"
        " --tables {output.tables:q} &> {log:q}"
