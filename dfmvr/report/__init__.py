"""Stage `report`: tables, figures and the page of the study."""
