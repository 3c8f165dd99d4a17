//! MySQL: logins and statements in plain packets.

use sniff_x_tests::made::{From, Talk};

use crate::Ports;

/// A MySQL packet.
pub(crate) fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = u32::try_from(payload.len()).unwrap().to_le_bytes();
    [&[a, b, c, seq][..], payload].concat()
}

/// An OK packet that changes nothing.
pub(crate) fn ok(seq: u8) -> Vec<u8> {
    packet(seq, &[0, 0, 0, 2, 0, 0, 0])
}

pub(crate) fn error(seq: u8, code: u16, message: &str) -> Vec<u8> {
    packet(seq, &[&[0xff][..], &code.to_le_bytes(), b"#HY000", message.as_bytes()].concat())
}

/// Protocol 4.1, secure connection, plugin authentication, a database with the login.
pub(crate) const CAPS: u32 = 0x0008_8208;

pub(crate) fn greeting(caps: u32) -> Vec<u8> {
    let caps = caps.to_le_bytes();
    let mut payload = b"\x0a8.0.36\0\x07\0\0\0abcdefgh\0".to_vec();
    payload.extend(&caps[..2]);
    payload.extend([33, 2, 0]);
    payload.extend(&caps[2..]);
    payload.extend([21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    payload.extend(b"ijklmnopqrst\0mysql_native_password\0");
    packet(0, &payload)
}

pub(crate) fn login(caps: u32, response: &[u8], method: &str) -> Vec<u8> {
    let mut payload = caps.to_le_bytes().to_vec();
    payload.extend([0, 0, 0, 1, 33]);
    payload.extend([0; 23]);
    payload.extend(b"app\0");
    payload.push(u8::try_from(response.len()).unwrap());
    payload.extend(response);
    payload.extend(b"shop\0");
    payload.extend(method.as_bytes());
    payload.push(0);
    packet(1, &payload)
}

/// Behind a login, in which both ends agree on `caps`.
pub(crate) fn logged_in(ports: &mut Ports, caps: u32) -> Talk {
    ports
        .talk(3306, true)
        .says(From::Server, &greeting(caps))
        .says(From::Client, &login(caps, b"12345678901234567890", "mysql_native_password"))
        .says(From::Server, &ok(2))
}

pub(crate) fn query(text: &str) -> Vec<u8> {
    packet(0, &[b"\x03", text.as_bytes()].concat())
}

/// Logins, and statements with passwords.
pub(crate) fn secrets(secret: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    let bytes = secret.as_bytes();
    // Logins: with the first packet, after a switch to clear text, in old and hashed ways, over several segments, joined in the middle, changed.
    for method in
        ["mysql_native_password", "mysql_clear_password", "caching_sha2_password", "mysql_old_password"]
    {
        talks.push(
            ports
                .talk(3306, true)
                .says(From::Server, &greeting(CAPS))
                .says_in(From::Client, &login(CAPS, bytes, method), 7)
                .says(
                    From::Server,
                    &packet(2, format!("\u{fe}{method}\0salt\0").replace('\u{fe}', "\x7f").as_bytes()),
                ),
        );
        let switch = [&[0xfe][..], method.as_bytes(), b"\0abcdefghijklmnopqrst\0"].concat();
        talks.push(
            ports
                .talk(3306, true)
                .says(From::Server, &greeting(CAPS))
                .says(From::Client, &login(CAPS, b"", method))
                .says(From::Server, &packet(2, &switch))
                .says(From::Client, &packet(3, &[bytes, b"\0"].concat()))
                .says(
                    From::Server,
                    &error(4, 1045, "Access denied for user 'app'@'h' (using password: YES)"),
                ),
        );
        talks.push(
            ports
                .talk(3306, false)
                .says(From::Client, &packet(3, &[bytes, b"\0"].concat()))
                .says(From::Server, &ok(4)),
        );
        let change = [
            b"\x11app\0",
            &[u8::try_from(bytes.len()).unwrap()][..],
            bytes,
            b"shop\0\x21\0",
            method.as_bytes(),
            b"\0",
        ]
        .concat();
        talks.push(
            logged_in(ports, CAPS).says_in(From::Client, &packet(0, &change), 9).says(From::Server, &ok(1)),
        );
    }
    for text in [
        "CREATE USER a IDENTIFIED BY '{}'",
        "ALTER USER a IDENTIFIED WITH mysql_native_password AS '{}'",
        "GRANT ALL ON *.* TO a IDENTIFIED BY \"{}\"",
        "CREATE USER a /*!50700 IDENTIFIED BY '{}' */",
        "SET PASSWORD FOR a = '{}'",
        "SET PASSWORD = PASSWORD('{}')",
        "SELECT OLD_PASSWORD('{}')",
        "CHANGE MASTER TO MASTER_USER='r', MASTER_PASSWORD='{}'",
        "START SLAVE USER='r' PASSWORD='{}'",
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD '{}')",
        "PREPARE s FROM 'SET PASSWORD = ''{}'''",
        "IF 1 THEN ALTER USER a IDENTIFIED BY '{}'; END IF",
        "CREATE USER a IDENTIFIED BY {}",
        "SELECT 1; CREATE USER a IDENTIFIED BY '{}",
    ] {
        let text = text.replace("{}", secret);
        let near = format!("You have an error in your SQL syntax near '{text}' at line 1");
        for answer in [ok(1), error(1, 1064, &near)] {
            talks.push(
                logged_in(ports, CAPS).says_in(From::Client, &query(&text), 11).says(From::Server, &answer),
            );
        }
        talks.push(ports.talk(3306, false).says(From::Client, &query(&text)).says(From::Server, &ok(1)));
        talks.push(
            logged_in(ports, CAPS).says(From::Client, &packet(0, &[b"\x16", text.as_bytes()].concat())),
        );
        let mut lost = query(&text);
        lost.truncate(lost.len() / 2);
        talks.push(
            logged_in(ports, CAPS)
                .says(From::Client, &lost)
                .loses(From::Client, 40)
                .says(From::Client, &query(&text))
                .says(From::Server, &ok(1)),
        );
    }
    talks.push(password_parameter(secret, ports));
    talks
}

/// `PASSWORD(?)`, prepared and executed.
fn password_parameter(secret: &str, ports: &mut Ports) -> Talk {
    let definition = packet(2, b"\x03def\0\0\0\x01?\0\x0c\x3f\0\0\0\0\0\xfd\x80\0\0\0\0");
    let eof = packet(3, &[0xfe, 0, 0, 2, 0]);
    let prepared = [packet(1, &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]), definition, eof].concat();
    let length = u8::try_from(secret.len()).unwrap();
    let execute = [&[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfd, 0, length][..], secret.as_bytes()].concat();
    logged_in(ports, CAPS)
        .says(From::Client, &packet(0, b"\x16SET PASSWORD FOR a = PASSWORD(?)"))
        .says(From::Server, &prepared)
        .says(From::Client, &packet(0, &execute))
        .says(From::Server, &ok(1))
}

/// Statements, and what servers say of them.
pub(crate) fn values(value: &str, ports: &mut Ports) -> Vec<Talk> {
    let mut talks = Vec::new();
    for text in [
        "SELECT '{}'",
        "INSERT INTO t VALUES (1, \"{}\", 0x41)",
        "SELECT 1 /* {} */",
        "SELECT 'it's {}'",
        "SELECT 'cut {}",
    ] {
        let text = text.replace("{}", value);
        for answer in [
            ok(1),
            error(1, 1062, &format!("Duplicate entry '{value}' for key 't.k'")),
            error(1, 1064, &format!("You have an error near '{value}' at line 1")),
            error(1, 1644, &format!("raised {value}")),
        ] {
            talks.push(logged_in(ports, CAPS).says(From::Client, &query(&text)).says(From::Server, &answer));
        }
    }
    talks
}
