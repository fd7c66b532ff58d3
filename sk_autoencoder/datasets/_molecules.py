"""Drawings of molecules with their solubility, carried by the package."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from sk_autoencoder._utils.sklearn_compat import validate_params
from sk_autoencoder.datasets._fashion_mnist import pixel_names

_DESCR = """\
Drawings of molecules, and how well they dissolve in water
==========================================================

The structural formulas of ESOL's molecules, drawn white on black: chemistry as a
picture, with the measured solubility as what to predict.

Rows           1,128 molecules
Features       4,096 pixels, 64 x 64, from 0 (black) to 255 (white), 17 levels
Target         measured solubility in water, log10 of mol per liter, -11.6 to 1.58

Source: ESOL, https://doi.org/10.1021/ci034243x, in the copy of DeepChem and
MoleculeNet, https://github.com/deepchem/deepchem
Citation: Delaney, J. S. (2004). ESOL: estimating aqueous solubility directly from
molecular structure. Journal of Chemical Information and Computer Sciences 44,
1000-1005.
License: MIT, copyright 2017 PandeLab
Changes: the SMILES strings were drawn by RDKit as pictures of 64 x 64 gray pixels.
"""


@validate_params(return_X_y=["boolean"])
def load_molecules(*, return_X_y: bool = False) -> Any:
    """Load drawings of 1,128 molecules, 64 x 64, with their solubility in water.

    They lie in the package, so nothing is downloaded.

    Parameters
    ----------
    return_X_y : bool, default=False
        If True, return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        Dictionary-like object with these attributes:

        data : ndarray of shape (1128, 4096), float32
            A drawing a row, from 0 (black) to 255 (white).
        images : ndarray of shape (1128, 64, 64), float32
            The same drawings, in the same memory.
        target : ndarray of shape (1128,), float64
            Measured solubility, log10 of mol per liter.
        smiles : ndarray of shape (1128,), str
            The molecule in the notation SMILES. It is not a feature.
        feature_names : list of str
            ``"pixel_0_0"`` to ``"pixel_63_63"``: row and column.
        DESCR : str
            What the data are, with source and license.

    (data, target) : tuple if ``return_X_y=True``
        The first and the third of the attributes above.

    Notes
    -----
    Source: ESOL [1]_, in the copy of DeepChem and MoleculeNet [2]_. License: MIT,
    copyright 2017 PandeLab. Changes: drawn by RDKit as gray pictures.

    References
    ----------
    .. [1] Delaney, J. S. (2004). ESOL: estimating aqueous solubility directly from
       molecular structure. J. Chem. Inf. Comput. Sci. 44, 1000-1005.
    .. [2] Wu, Z. et al. (2018). MoleculeNet: a benchmark for molecular machine
       learning. Chemical Science 9, 513-530.

    Examples
    --------
    >>> from sk_autoencoder.datasets import load_molecules
    >>> molecules = load_molecules()
    >>> molecules.images.shape
    (1128, 64, 64)
    >>> print(molecules.smiles[2], molecules.target[2])
    CC(C)=CCCC(C)=CC(=O) -2.06
    """
    path = resources.files(__package__) / "data" / "molecules_esol.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        images = arrays["X"].astype(np.float32)
        # The file has float32; what was measured has three decimals at most.
        target = arrays["y"].astype(np.float64).round(3)
        smiles = arrays["smiles"]
    data = images.reshape(len(images), -1)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        images=images,
        target=target,
        smiles=smiles,
        feature_names=pixel_names(images.shape[1:]),
        DESCR=_DESCR,
    )
