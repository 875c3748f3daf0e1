"""The figures and the table of Guo and Kim (2023), as declarations and what carries them out.

`figures` declares them, `methods` says how each method is trained, `scales` what a smaller run
reduces. A figure is a list of points, each of which reads numbers from a cell: one model under one
protocol and seed (`cells`), computed once (`compute`), kept in a file (`store`) and shared among
figures. `reports` and `charts` write what came out beside `published` numbers.
"""
