//! What makes no sense: exact codes and words, nothing lost, nothing left.

use containerd_shim_protos::api::{CreateTaskRequest, Mount};
use containerd_shim_protos::protobuf::MessageField;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::Request;

use super::execs::end;
use super::{Outcome, scenarios};
use zerocap_e2e::task::Run;

scenarios! { "errors":
    both unknown "every call for a container that does not exist";
    both states "start, delete and create in the wrong state";
    plain missing_program "a container whose program is not there";
    both bad_config "a bundle whose spec is no JSON, or not there";
    both bad_exec "a process to exec that is no JSON, or nothing";
    both bad_update "resources that are no JSON";
    both bad_options "options that do not decode";
    both missing_engine "an engine that is not installed";
    both no_engine_at_path "an engine's path at which nothing is";
    both bad_mount "a rootfs that cannot be mounted";
    both bad_layers "an overlay of very many layers in a folder that is not there";
    both regular_file "a FIFO that is a regular file";
    both bad_scheme "a scheme that nobody knows, then a second attempt with the same bundle";
    both newline "paths with spaces, and with newlines";
    both wire "methods and services that do not exist, payloads that do not decode";
    both large "a request of two megabytes";
    both stopped "calls that come after the end";
}

async fn unknown(run: &Run) -> Outcome {
    run.state("unknown", "").await;
    run.start_process("unknown", "").await;
    run.wait("unknown", "").await;
    run.kill("unknown", "", 9).await;
    run.kill_all("unknown", 9).await;
    run.delete("unknown", "").await;
    run.pids("unknown").await;
    run.pause("unknown").await;
    run.resume("unknown").await;
    run.update("unknown", "{}").await;
    run.stats("unknown").await;
    run.resize("unknown", "", 80, 24).await;
    run.close_io("unknown", "").await;
    run.checkpoint("unknown", "/nowhere").await;
    run.connect_task("unknown").await;
    run.exec("unknown", "e", &["true"]).await;
    Ok(())
}

async fn states(run: &Run) -> Outcome {
    run.create("c", &["sleep", "1000"]).await?;
    run.create("c", &["sleep", "1000"]).await?;
    run.start_process("c", "").await;
    run.start_process("c", "").await;
    run.delete("c", "").await;
    run.state("c", "").await;
    run.kill("c", "", 9).await;
    run.wait("c", "").await;
    run.start_process("c", "").await;
    run.delete("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn missing_program(run: &Run) -> Outcome {
    run.create("c", &["/nowhere/program"]).await?;
    run.start_process("c", "").await;
    run.state("c", "").await;
    run.delete("c", "").await;
    // The id is free for the next attempt.
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn bad_config(run: &Run) -> Outcome {
    let config = run.bundle_of("c").join("config.json");
    for text in ["{", "[]", ""] {
        std::fs::write(&config, text).map_err(|error| error.to_string())?;
        run.create_with(run.request("c")).await;
    }
    std::fs::remove_file(&config).map_err(|error| error.to_string())?;
    run.create_with(run.request("c")).await;
    run.state("c", "").await;
    Ok(())
}

async fn bad_exec(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    for (id, bytes) in [("a", "{"), ("b", ""), ("d", "[]"), ("e", r#"{"args":"true"}"#)] {
        let mut request = run.exec_request("c", id, &["true"]);
        request.spec = MessageField::some(Any { value: bytes.into(), ..Any::default() });
        run.exec_with(request).await;
    }
    run.state("c", "").await;
    end(run).await
}

async fn bad_update(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    for text in ["{", "[]", r#"{"memory":{"limit":"much"}}"#, "{}"] {
        run.update("c", text).await;
    }
    run.state("c", "").await;
    end(run).await
}

async fn bad_options(run: &Run) -> Outcome {
    let options = Any { type_url: "containerd.runc.v1.Options".into(), value: vec![0xff; 9], ..Any::default() };
    run.create_with(CreateTaskRequest { options: MessageField::some(options), ..run.request("c") }).await;
    run.state("c", "").await;
    Ok(())
}

async fn missing_engine(run: &Run) -> Outcome {
    let options = run.options(|options| options.binary_name = "no-such-engine".into());
    run.create_with(CreateTaskRequest { options: MessageField::some(options), ..run.request("c") }).await;
    run.state("c", "").await;
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}

async fn no_engine_at_path(run: &Run) -> Outcome {
    let options = run.options(|options| options.binary_name = "/nowhere/engine".into());
    run.create_with(CreateTaskRequest { options: MessageField::some(options), ..run.request("c") }).await;
    run.state("c", "").await;
    Ok(())
}

async fn bad_mount(run: &Run) -> Outcome {
    let good = Mount { type_: "tmpfs".into(), source: "tmpfs".into(), ..Mount::default() };
    let bad =
        Mount { type_: "bind".into(), source: "/nowhere".into(), options: vec!["rbind".into()], ..Mount::default() };
    run.create_with(CreateTaskRequest { rootfs: vec![good, bad], ..run.request("c") }).await;
    run.state("c", "").await;
    let left = run.left().into_iter().filter(|left| left.contains("mount")).collect::<Vec<_>>();
    run.note(&format!("left: {left:?}"));
    Ok(())
}

async fn bad_layers(run: &Run) -> Outcome {
    let layers = (0..100).map(|layer| format!("/nowhere/but/in/a/name/that/is/long/{layer}")).collect::<Vec<_>>();
    let options = vec![format!("lowerdir={}", layers.join(":"))];
    let overlay = Mount { type_: "overlay".into(), source: "overlay".into(), options, ..Mount::default() };
    run.create_with(CreateTaskRequest { rootfs: vec![overlay], ..run.request("c") }).await;
    run.state("c", "").await;
    Ok(())
}

async fn regular_file(run: &Run) -> Outcome {
    let file = run.dir.join("file");
    std::fs::write(&file, "before\n").map_err(|error| error.to_string())?;
    let mut request = run.request("c");
    run.bundle("c", &["sh", "-c", "echo said; sleep 0.1; echo complained >&2"], |_| {})?;
    request.stdout = file.display().to_string();
    request.stderr = request.stdout.clone();
    run.create_with(request).await;
    run.start_process("c", "").await;
    run.wait("c", "").await;
    run.delete("c", "").await;
    run.note(&format!("the file holds {:?}", std::fs::read_to_string(&file)));
    run.event("/tasks/delete", 1).await
}

async fn bad_scheme(run: &Run) -> Outcome {
    let mut request = run.request("c");
    request.stdout = "http://example/log".into();
    run.create_with(request).await;
    run.state("c", "").await;
    // The bundle is as it was: the next attempt succeeds.
    run.create_with(run.request("c")).await;
    run.start_process("c", "").await;
    end(run).await
}

async fn newline(run: &Run) -> Outcome {
    for name in ["a file\nwith a line", "a file"] {
        let file = run.dir.join(name);
        let mut request = run.request("c");
        run.bundle("c", &["echo", "said"], |_| {})?;
        std::fs::write(&file, "").map_err(|error| error.to_string())?;
        request.stdout = file.display().to_string();
        request.stderr = request.stdout.clone();
        run.create_with(request).await;
        run.start_process("c", "").await;
        run.wait("c", "").await;
        run.delete("c", "").await;
        run.note(&format!("the file holds {:?}", std::fs::read_to_string(&file)));
    }
    run.event("/tasks/delete", 1).await
}

async fn wire(run: &Run) -> Outcome {
    let client = run.raw_client().await?;
    let task = "containerd.task.v3.Task";
    let calls: [(&str, &str, &[u8]); 6] = [
        (task, "Nonsense", b""),
        ("containerd.nonsense.v1.Nonsense", "State", b""),
        (task, "State", b"\x0a\xff\xff\xff"),
        (task, "Create", b"\xff\xff\xff\xff\xff"),
        (task, "Exec", b"\x0a\x02\xff\xff"),
        (task, "State", b"\xfa\x3f\x03abc"),
    ];
    for (service, method, payload) in calls {
        let request = Request {
            service: service.into(),
            method: method.into(),
            payload: payload.to_vec(),
            timeout_nano: i64::try_from(zerocap_e2e::task::PATIENCE.as_nanos()).unwrap_or(i64::MAX),
            ..Request::default()
        };
        let label = format!("{method} of {service} with {payload:?}");
        let answer = client.request(request).await;
        run.note(&format!(
            "{label}: {}",
            answer.map_or_else(|error| zerocap_e2e::task::calls::refusal(&error), |_| "answered".to_owned())
        ));
    }
    run.state("c", "").await;
    Ok(())
}

async fn large(run: &Run) -> Outcome {
    run.run("c", &["sleep", "1000"]).await?;
    let mut request = run.exec_request("c", "e", &["true"]);
    let mut process = zerocap_e2e::task::spec::process(&["true"]);
    process["env"] = serde_json::json!(["PATH=/bin", format!("A={}", "x".repeat(2_000_000))]);
    request.spec = MessageField::some(zerocap_e2e::task::calls::json("x", &process));
    run.exec_with(request).await;
    run.delete("c", "e").await;
    run.state("c", "").await;
    end(run).await
}

async fn stopped(run: &Run) -> Outcome {
    run.run("c", &["true"]).await?;
    run.wait("c", "").await;
    run.update("c", "{}").await;
    run.resize("c", "", 80, 24).await;
    run.close_io("c", "").await;
    run.checkpoint("c", "/nowhere").await;
    run.pids("c").await;
    run.delete("c", "").await;
    run.event("/tasks/delete", 1).await
}
