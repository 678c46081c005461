"""Make the tables, the figures and the page, of the whole study or of one table alone.

needs   the outputs of all stages
gives   results/report.html    everything on one page that needs no network
        results/report/        tables as CSV, LaTeX and HTML, figures
        results/table_1.html   and results/table_1/, and so on: the page of one table (`snakemake table_1`)
"""

for _table in COMPARISONS:

    rule:
        name:
            _table.name
        input:
            f"<results>/{_table.name}.html",


rule make_report:
    """Make the tables, the figures and the page."""
    input:
        code=code("report.command", *map(reader_of, layouts.MULTIVIEW)),
        model="<results>/face_model/face_model.npz",
        summary="<results>/face_model/summary.json",
        preview="<results>/face_model/preview.png",
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
