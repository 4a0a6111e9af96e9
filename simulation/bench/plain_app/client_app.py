"""A site that trains nothing: it unpacks the parameters as any client would, and returns others.

Others, because Flower finds arrays by their content: of those that two sites return alike, not both need to send
theirs. What each site adds is its own power of two, so that the mean is no site's array either.
"""

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Return the parameters that came, each with the site's number added."""
    arrays = message.content["arrays"]
    assert isinstance(arrays, ArrayRecord)
    step = 1e-5 * 2.0 ** int(context.node_config["partition-id"])
    state = {name: torch.add(tensor, step) for name, tensor in arrays.to_torch_state_dict().items()}
    content = RecordDict({"arrays": ArrayRecord(state), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=content, reply_to=message)
