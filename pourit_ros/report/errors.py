# SPDX-License-Identifier: Apache-2.0
"""What the report writers raise."""

from ..errors import InputError


class ReportError(InputError):
    """The input cannot be drawn or written; the message says what is wrong."""
