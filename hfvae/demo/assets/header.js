const picker = find("#model");
for (const model of hf.state.models) picker.add(new Option(model.title, model.name));
picker.value = hf.state.model.name;
picker.addEventListener("change", () => hf.setModel(picker.value, "header"));
hf.say(find(".hf-problem"), props.problems.join("\n"));
