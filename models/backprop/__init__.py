"""Back-propagation by hand: every layer's forward beside its backward, no autograd inside.

The four equations that the docstrings name are those of Nielsen 2015, chapter 2 of
neuralnetworksanddeeplearning.com (his BP3 is the bias, his BP4 the weight), after Rumelhart,
Hinton and Williams 1986, doi:10.1038/323533a0:

    BP1  output error            derivative of the loss (or of a logit) by the network's output
    BP2  error back-propagation  derivative by a layer's input, from the one by its output
    BP3  weight gradient         derivative by a layer's weight
    BP4  bias gradient           derivative by a layer's bias

`grad_<name>` is the derivative of one number, the loss, by `<name>`; it has the shape of `<name>`.

One layer family per file, as pure functions on tensors; `loss`, `initialisation` and `optimiser`
are what else a training step needs. `models.tape` binds the functions to PyTorch's modules and runs
whole networks forward and back. A new layer type adds a pair of functions here and a `record`
there. docs/backpropagation.md explains all of it step by step.
"""
