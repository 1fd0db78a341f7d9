// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Escrow} from "../../contracts/Escrow.sol";
import {Base} from "./Base.sol";

/// @dev A wallet with code: its owner's signature counts (ERC-1271).
contract Wallet is IERC1271 {
    address private immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 hash, bytes calldata sig) external view returns (bytes4) {
        return ECDSA.recover(hash, sig) == owner ? this.isValidSignature.selector : bytes4(0);
    }

    receive() external payable {}
}

/// @dev Every step can be relayed by a stranger with the right signature, and with no other.
contract SignaturesTest is Base {
    struct Step {
        Escrow.Status from;
        Escrow.Status to;
        uint256 key;
        string name;
    }

    function steps() private pure returns (Step[9] memory) {
        return [
            Step(Escrow.Status.Funded, Escrow.Status.Accepted, SELLER_KEY, "accept"),
            Step(Escrow.Status.Funded, Escrow.Status.Refunded, BUYER_KEY, "cancel"),
            Step(Escrow.Status.Accepted, Escrow.Status.Dispatched, SELLER_KEY, "dispatch"),
            Step(Escrow.Status.Dispatched, Escrow.Status.Holding, BUYER_KEY, "release"),
            Step(Escrow.Status.Dispatched, Escrow.Status.Refunded, SELLER_KEY, "refund"),
            Step(Escrow.Status.Dispatched, Escrow.Status.Dispatched, SELLER_KEY, "extend"),
            Step(Escrow.Status.Dispatched, Escrow.Status.Disputed, BUYER_KEY, "dispute"),
            Step(Escrow.Status.Holding, Escrow.Status.Disputed, SELLER_KEY, "dispute"),
            Step(Escrow.Status.Disputed, Escrow.Status.Ruled, ARBITER_KEY, "rule")
        ];
    }

    function test_every_step_can_be_relayed() public {
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            bytes memory sig = sign(step.key, hashOf(escrow, o, step));
            require(relay(o, step, sig), step.name);
            sameStatus(stateOf(o).status, step.to);
        }
    }

    function test_another_signer_is_refused() public {
        uint256[4] memory keys = [BUYER_KEY, SELLER_KEY, ARBITER_KEY, uint256(0xBAD)];
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            for (uint256 k = 0; k < keys.length; k++) {
                if (keys[k] != step.key) refused(o, step, sign(keys[k], hashOf(escrow, o, step)));
            }
        }
    }

    function test_another_order_is_refused() public {
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            Escrow.Order memory other = orderAt(step.from);
            refused(o, step, sign(step.key, hashOf(escrow, other, step)));
        }
    }

    function test_another_contract_is_refused() public {
        Escrow twin = new Escrow();
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            refused(o, step, sign(step.key, hashOf(twin, o, step)));
        }
    }

    function test_another_chain_is_refused() public {
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            uint256 here = block.chainid;
            vm.chainId(here + 1);
            bytes memory sig = sign(step.key, hashOf(escrow, o, step));
            vm.chainId(here);
            refused(o, step, sig);
        }
    }

    function test_another_step_is_refused() public {
        for (uint256 i = 0; i < steps().length; i++) {
            for (uint256 j = 0; j < steps().length; j++) {
                Step memory step = steps()[i];
                Step memory other = steps()[j];
                if (keccak256(bytes(step.name)) == keccak256(bytes(other.name))) continue;
                Escrow.Order memory o = orderAt(step.from);
                refused(o, step, sign(step.key, hashOf(escrow, o, other)));
            }
        }
    }

    function test_a_changed_total_is_refused() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Dispatched);
        bytes memory sig = sign(BUYER_KEY, hash("Release(bytes32 id,uint104 total)", o, 5));
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.release(o, 6, sig);
    }

    function test_an_old_voucher_pays_nothing_more() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Dispatched);
        bytes memory small = sign(BUYER_KEY, hash("Release(bytes32 id,uint104 total)", o, 1_000));
        bytes memory large = sign(BUYER_KEY, hash("Release(bytes32 id,uint104 total)", o, 5_000));
        uint256 before = seller.balance;
        escrow.release(o, 5_000, large);
        vm.expectRevert(Escrow.BadAmount.selector);
        escrow.release(o, 1_000, small);
        vm.expectRevert(Escrow.BadAmount.selector);
        escrow.release(o, 5_000, large);
        same(seller.balance - before, 5_000 - 125, "paid");
    }

    function test_nothing_moves_after_the_end() public {
        for (uint256 i = 0; i < steps().length; i++) {
            Step memory step = steps()[i];
            Escrow.Order memory o = orderAt(step.from);
            bytes memory sig = sign(step.key, hashOf(escrow, o, step));
            settle(o, 0);
            Escrow.Status end = stateOf(o).status;
            (bool ok, bytes memory failure) = send(o, step, sig);
            require(!ok && sameBytes(failure, abi.encodeWithSelector(Escrow.BadStatus.selector, end)), step.name);
        }
    }

    function test_an_objection_to_one_status_does_not_serve_in_another() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Dispatched);
        bytes memory sig = sign(BUYER_KEY, hash("Dispute(bytes32 id,uint8 status)", o, 3));
        release(o, AMOUNT);
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.dispute(o, buyer, sig);
    }

    function test_settling_needs_both() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Dispatched);
        bytes32 digest_ = settleHash(o, 7);
        bytes memory fromBuyer = sign(BUYER_KEY, digest_);
        bytes memory fromSeller = sign(SELLER_KEY, digest_);
        vm.expectRevert(Escrow.NotParty.selector);
        escrow.settle(o, 7, fromBuyer, "");
        vm.expectRevert(Escrow.NotParty.selector);
        escrow.settle(o, 7, "", fromSeller);
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.settle(o, 7, fromBuyer, fromBuyer);
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.settle(o, 8, fromBuyer, fromSeller);
        escrow.settle(o, 7, fromBuyer, fromSeller);
        sameStatus(stateOf(o).status, Escrow.Status.Settled);
    }

    function test_no_total_beyond_the_pot() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Disputed);
        vm.prank(arbiter);
        vm.expectRevert(Escrow.BadAmount.selector);
        escrow.rule(o, uint256(AMOUNT) + BUYER_DEPOSIT + SELLER_DEPOSIT + 1, "");
    }

    function test_no_arbiter_no_ruling() public {
        Escrow.Order memory o = makeOrder(address(0));
        o.arbiter = address(0);
        o.arbiterFeeBps = 0;
        reach(o, Escrow.Status.Disputed);
        vm.expectRevert(Escrow.NotParty.selector);
        escrow.rule(o, 0, "");
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.rule(o, 0, new bytes(65));
    }

    function test_a_bent_signature_is_refused() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Funded);
        bytes memory sig = sign(SELLER_KEY, escrow.orderId(o));
        bytes memory short = new bytes(64);
        for (uint256 i = 0; i < 64; i++) {
            short[i] = sig[i];
        }
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.accept{value: SELLER_DEPOSIT}(o, short);
        sig[10] ^= 0x01;
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.accept{value: SELLER_DEPOSIT}(o, sig);
    }

    function test_wallets_with_code_sign_too() public {
        Escrow.Order memory o = makeOrder(address(0));
        o.seller = address(new Wallet(seller));
        o.buyer = address(new Wallet(buyer));
        o.sellerDeposit = 0;
        bytes32 id = escrow.orderId(o);
        vm.deal(address(this), 1e24);
        bytes memory wrong = sign(BUYER_KEY, id);
        bytes memory right = sign(SELLER_KEY, id);
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT}(o, wrong);
        escrow.fund{value: AMOUNT + BUYER_DEPOSIT}(o, right);
        escrow.release(o, 1_000, sign(BUYER_KEY, hash("Release(bytes32 id,uint104 total)", o, 1_000)));
        same(o.seller.balance, 975, "paid");
    }

    function test_an_account_that_delegated_its_code_still_signs_plainly() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Accepted);
        vm.etch(seller, hex"6000600055");
        bytes memory sig = sign(SELLER_KEY, hash("Dispatch(bytes32 id)", o));
        escrow.dispatch(o, sig);
        sameStatus(stateOf(o).status, Escrow.Status.Dispatched);
    }

    function test_permit_pays_for_the_order_it_was_meant_for() public {
        Escrow.Order memory o = makeOrder(address(token));
        vm.prank(buyer);
        token.approve(address(escrow), 0);
        Escrow.Permit memory permit = permitFor(AMOUNT + BUYER_DEPOSIT);
        bytes memory consent = sign(BUYER_KEY, escrow.orderId(o));
        vm.expectRevert(Escrow.NotParty.selector);
        escrow.fundWithPermit(o, "", "", permit);
        Escrow.Order memory other = makeOrder(address(token));
        vm.expectRevert(Escrow.BadSignature.selector);
        escrow.fundWithPermit(other, "", consent, permit);
        escrow.fundWithPermit(o, "", consent, permit);
        same(escrow.held(o), AMOUNT + BUYER_DEPOSIT, "held");
    }

    function test_a_permit_used_by_somebody_else_blocks_nothing() public {
        Escrow.Order memory o = makeOrder(address(token));
        vm.prank(buyer);
        token.approve(address(escrow), 0);
        Escrow.Permit memory p = permitFor(AMOUNT + BUYER_DEPOSIT);
        token.permit(buyer, address(escrow), p.value, p.deadline, p.v, p.r, p.s);
        escrow.fundWithPermit(o, "", sign(BUYER_KEY, escrow.orderId(o)), p);
        same(escrow.held(o), AMOUNT + BUYER_DEPOSIT, "held");
    }

    function test_authorization_pays_and_consents_for_one_order() public {
        Escrow.Order memory o = makeOrder(address(token));
        Escrow.Order memory other = makeOrder(address(token));
        bytes memory authorization = authorizationFor(escrow.orderId(o));
        vm.expectRevert(TestTokenBad.BadAuthorization.selector);
        escrow.fundWithAuthorization(other, "", 0, type(uint256).max, authorization);
        escrow.fundWithAuthorization(o, "", 0, type(uint256).max, authorization);
        same(escrow.held(o), AMOUNT + BUYER_DEPOSIT, "held");
        vm.expectRevert(abi.encodeWithSelector(Escrow.BadStatus.selector, Escrow.Status.Funded));
        escrow.fundWithAuthorization(o, "", 0, type(uint256).max, authorization);
    }

    function test_native_coin_has_no_permit() public {
        Escrow.Order memory o = makeOrder(address(0));
        Escrow.Permit memory permit = permitFor(1);
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fundWithPermit(o, "", "", permit);
        vm.expectRevert(Escrow.BadValue.selector);
        escrow.fundWithAuthorization(o, "", 0, 1, "");
    }

    function test_several_steps_in_one_call() public {
        Escrow.Order memory o = orderAt(Escrow.Status.Accepted);
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(Escrow.dispatch, (o, sign(SELLER_KEY, hash("Dispatch(bytes32 id)", o))));
        bytes32 digest_ = hash("Release(bytes32 id,uint104 total)", o, AMOUNT);
        calls[1] = abi.encodeCall(Escrow.release, (o, AMOUNT, sign(BUYER_KEY, digest_)));
        escrow.multicall(calls);
        sameStatus(stateOf(o).status, Escrow.Status.Holding);
        (bool ok,) = address(escrow).call{value: 1}(abi.encodeCall(escrow.multicall, (calls)));
        require(!ok, "multicall took money");
    }

    function permitFor(uint256 value) private view returns (Escrow.Permit memory p) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typeHash, buyer, address(escrow), value, token.nonces(buyer), block.timestamp));
        p.value = value;
        p.deadline = block.timestamp;
        (p.v, p.r, p.s) =
            vm.sign(BUYER_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }

    function authorizationFor(bytes32 id) private view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        uint256 value = AMOUNT + BUYER_DEPOSIT;
        bytes32 structHash = keccak256(abi.encode(typeHash, buyer, address(escrow), value, 0, type(uint256).max, id));
        return sign(BUYER_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }

    function orderAt(Escrow.Status status) private returns (Escrow.Order memory o) {
        o = makeOrder(address(0));
        reach(o, status);
    }

    function hashOf(Escrow at_, Escrow.Order memory o, Step memory step) private view returns (bytes32) {
        bytes32 id = at_.orderId(o);
        bytes32 name = keccak256(bytes(step.name));
        if (name == keccak256("accept")) return id;
        bytes memory data;
        if (name == keccak256("cancel")) data = abi.encode(keccak256("Cancel(bytes32 id)"), id);
        if (name == keccak256("dispatch")) data = abi.encode(keccak256("Dispatch(bytes32 id)"), id);
        if (name == keccak256("release")) {
            data = abi.encode(keccak256("Release(bytes32 id,uint104 total)"), id, AMOUNT);
        }
        if (name == keccak256("refund")) data = abi.encode(keccak256("Refund(bytes32 id,uint104 total)"), id, AMOUNT);
        if (name == keccak256("extend")) {
            data = abi.encode(keccak256("Extend(bytes32 id,uint40 deadline)"), id, START + 99 days);
        }
        if (name == keccak256("dispute")) {
            data = abi.encode(keccak256("Dispute(bytes32 id,uint8 status)"), id, step.from);
        }
        if (name == keccak256("rule")) data = abi.encode(keccak256("Rule(bytes32 id,uint256 sellerTotal)"), id, 77);
        return digestAt(address(at_), keccak256(data));
    }

    function hash(string memory typeText, Escrow.Order memory o) private view returns (bytes32) {
        return digest(keccak256(abi.encode(keccak256(bytes(typeText)), escrow.orderId(o))));
    }

    function hash(string memory typeText, Escrow.Order memory o, uint256 value) private view returns (bytes32) {
        return digest(keccak256(abi.encode(keccak256(bytes(typeText)), escrow.orderId(o), value)));
    }

    function send(Escrow.Order memory o, Step memory step, bytes memory sig)
        private
        returns (bool ok, bytes memory failure)
    {
        bytes32 name = keccak256(bytes(step.name));
        bytes memory call;
        uint256 value;
        if (name == keccak256("accept")) {
            call = abi.encodeCall(Escrow.accept, (o, sig));
            value = SELLER_DEPOSIT;
        }
        if (name == keccak256("cancel")) call = abi.encodeCall(Escrow.cancel, (o, sig));
        if (name == keccak256("dispatch")) call = abi.encodeCall(Escrow.dispatch, (o, sig));
        if (name == keccak256("release")) call = abi.encodeCall(Escrow.release, (o, AMOUNT, sig));
        if (name == keccak256("refund")) call = abi.encodeCall(Escrow.refund, (o, AMOUNT, sig));
        if (name == keccak256("extend")) call = abi.encodeCall(Escrow.extend, (o, uint40(START + 99 days), sig));
        if (name == keccak256("dispute")) call = abi.encodeCall(Escrow.dispute, (o, vm.addr(step.key), sig));
        if (name == keccak256("rule")) call = abi.encodeCall(Escrow.rule, (o, 77, sig));
        vm.prank(stranger);
        return address(escrow).call{value: value}(call);
    }

    function relay(Escrow.Order memory o, Step memory step, bytes memory sig) private returns (bool ok) {
        vm.deal(stranger, 1e24);
        (ok,) = send(o, step, sig);
    }

    function refused(Escrow.Order memory o, Step memory step, bytes memory sig) private {
        (bool ok, bytes memory failure) = send(o, step, sig);
        require(!ok && sameBytes(failure, abi.encodeWithSelector(Escrow.BadSignature.selector)), step.name);
    }

    function sameBytes(bytes memory a, bytes memory b) private pure returns (bool) {
        return keccak256(a) == keccak256(b);
    }
}

interface TestTokenBad {
    error BadAuthorization();
}
